"""Why an item is recommended: a message code with parameters. The service renders it in the language of the request.

A track is recommended again for what the listens of its user say most, in weeks and months rather than counts. Months are of
UTC. Every claim also holds if the listens are only the newest ones of the user. Legend: N listens of one track.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

import numpy as np

from sequences.sequence_views import DAY_US

if TYPE_CHECKING:
    from recommender.catalog.vocabulary import Vocabulary

ReasonParameter = Union[str, int, tuple[str, ...], "Reason", tuple["Reason", ...]]
"""A name as text, a number, facet values (genres, styles, ...; translated and joined), a phrase, or a list of phrases.
"""


@dataclass(frozen=True)
class Reason:
    """A message code and its parameters, independent of any language.

    Attributes:
        code: Key of the message in `serving/messages/catalogs/<language>.json`.
        parameters: Placeholder of the message → value.
    """

    code: str
    parameters: Mapping[str, ReasonParameter] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Hash of code and parameters."""
        return hash((self.code, frozenset(self.parameters.items())))


KINDS: Mapping[str, str] = {
    **dict.fromkeys(("listened_before", "listened_times"), "number of own listens"),
    **dict.fromkeys(("listens_to", "listens_to_path"), "music graph"),
    **dict.fromkeys(
        ("listened_by_people", "listened_times_overall", "listened_once_overall", "most_played"), "popularity"
    ),
}
"""Code → kind of reasons that say the same in several ways; every other code is a kind of its own."""
KINDS_PER_LIST = 3
"""At most one of so many reasons of a list is of one kind, where the items have others."""
LIKED = Reason("liked")
NEAR_INTERESTS = Reason("near_interests")
RECENT_ACTIVITY = Reason("recent_activity")
"""For a user who has neither listened to nor liked anything."""


def track_phrase(vocabulary: Vocabulary, item: int) -> Reason | str:
    """A track by title and main artist, as far as they are known."""
    artist = str(vocabulary.artist_names_A[vocabulary.artist_of_track_V[item]])
    return name_phrase(str(vocabulary.titles_V[item]), artist)


def name_phrase(title: str, artist: str) -> Reason | str:
    """A track with this title by this artist, of which either may be empty."""
    if artist:
        return (
            Reason("track_by_artist", {"title": title, "artist": artist})
            if title
            else Reason("untitled_track_by_artist", {"artist": artist})
        )
    return title or Reason("untitled_track")


JUST_NOW_US = 3_600_000_000
"""A play that ended less than one hour before the request is explained with "just now"."""
DAYS_A_WEEK = 7
OFTEN_A_WEEK, OFTEN_A_MONTH = 3, 4  # listens
WEEKS, MOST_WEEKS = 4, 3  # a track of most weeks was listened to in so many of the last WEEKS
LONG_AGO_DAYS = 14
REGULAR_MONTHS = 3  # months with a listen, of a track that the user comes back to
THESE_DAYS, ALMOST_EVERY_WEEK = Reason("listens_these_days"), Reason("listens_most_weeks")
LISTENED_BEFORE = Reason("listened_before")
MONTHS = tuple(f"month_{number}" for number in range(1, 13))
"""Codes of the names of months."""


def repeat_reasons(
    track_N: np.ndarray, listened_at_N: np.ndarray, items: Iterable[int], now_us: int
) -> dict[int, Reason]:
    """The reason to repeat each of the items that were listened to.

    Args:
        track_N: Track of each listen.
        listened_at_N: End of each listen, µs UTC, ascending.
        items: Tracks.
        now_us: Time of the request.
    """
    days_N = (now_us - listened_at_N) // DAY_US
    month_N, (this_month,) = _months(listened_at_N), _months(np.array([now_us])).tolist()
    return {
        item: _repeat_reason(days_N[is_own_N].tolist(), month_N[is_own_N].tolist(), this_month)
        for item in items
        if (is_own_N := track_N == item).any()
    }


def _repeat_reason(days: list[int], months: list[int], this_month: int) -> Reason:
    """Why a track is repeated that was listened to so many days ago, in these months since 1970, oldest first."""
    if len(days) >= OFTEN_A_WEEK and days[-OFTEN_A_WEEK] < DAYS_A_WEEK:
        return THESE_DAYS
    month = max(months, key=months.count)
    if month < this_month and months.count(month) >= OFTEN_A_MONTH:
        return Reason("listened_in_month", {"month": _month_phrase(month, this_month)})
    if days[-1] >= LONG_AGO_DAYS:
        return Reason("last_listened", {"days": days[-1]})
    if len({one // DAYS_A_WEEK for one in days if one < WEEKS * DAYS_A_WEEK}) >= MOST_WEEKS:
        return ALMOST_EVERY_WEEK
    if len({*months}) >= REGULAR_MONTHS:
        return Reason("listened_since", {"month": _month_phrase(months[0], this_month)})
    return Reason("listened_times", {"times": len(months)}) if len(months) > 1 else LISTENED_BEFORE


def _months(time_N: np.ndarray) -> np.ndarray:
    """Months since January 1970 of times in µs."""
    return time_N.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def _month_phrase(month: int, this_month: int) -> Reason:
    """The name of a month, with the year if it is not among the last twelve."""
    name, year = Reason(MONTHS[month % 12]), 1970 + month // 12
    return name if this_month - month < len(MONTHS) else Reason("month_of_year", {"month": name, "year": year})
