"""Why an item is recommended: a message code with parameters. The service renders it in the language of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

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
    **dict.fromkeys(
        ("listened_by_people", "listened_times_overall", "listened_once_overall", "most_played"), "popularity"
    ),
}
"""Code → kind of reasons that say the same in several ways; every other code is a kind of its own."""
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
