"""A listener as the models see them, for people to look at: what happened lately, and what is read from it.

Legend: L events. Knows nothing about candidates or HTTP.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sequences import behaviours
from sequences.batch import FIRST_CODE, SequenceBatch
from sequences.sessions import sessionize
from serving.pipeline.hydrate import UserState
from serving.pipeline.recall import Recall
from serving.pipeline.user_interests import UserInterests
from serving.releases.served_release import ServedRelease
from training.data.user_history import HISTORY_VIEW, is_listened

T = TypeVar("T")

RECENT_VIEW = "recent_events"
MAX_EXAMPLES = 5
"""How many tracks and artists say what an interest is made of."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProfileEvent:
    """One thing that the listener did with a track; `ended_at` in µs UTC, `played_ratio` 0 where nobody knows it.

    `session` counts from 1, the oldest in the sequence.
    """

    track_id: str
    title: str
    artists: list[str]
    behaviour: str
    ended_at: int
    played_ratio: float
    session: int


@dataclass(frozen=True)
class InterestSummary:
    """What a set of listens is about: in words, and the tracks and artists heard most in it; `share` of all listens."""

    name: str
    share: float
    titles: list[str]
    artists: list[str]


@dataclass(frozen=True)
class UserProfile:
    """What one release knows of a user; `events` oldest first, `short_term` is of the session that was last.

    Where the channel `multi_interest` is not there or fails there are no `interests`, and tastes are named by their artists.
    """

    user_id: str
    is_known: bool
    release: str
    events: list[ProfileEvent]
    interests: list[InterestSummary]
    short_term: InterestSummary | None
    long_term: InterestSummary | None


def describe_user(user: UserState, release: ServedRelease, recall: Recall) -> UserProfile:
    """The single user of a hydrated request, in words."""
    users = user.users
    recent, history = users.views.get(RECENT_VIEW), users.views.get(HISTORY_VIEW)
    short = _newest_session(recent) if recent is not None else np.zeros(0, dtype=np.int64)
    long = _items(history, is_listened(history)) if history is not None else np.zeros(0, dtype=np.int64)
    items_of = {key: items for key, items in (("short", short), ("long", long)) if len(items)}
    named = _name_interests(user, release, items_of, recall)
    whole = {key: _summarize_interest(items, 1.0, named.names.get(key), release) for key, items in items_of.items()}
    interests = named.interests if len(long) else []
    return UserProfile(
        user_id=users.user_ids[0],
        is_known=user.is_known,
        release=release.release_id,
        events=_events(recent, release) if recent is not None else [],
        interests=[_summarize_interest(one.items, one.share, one.name, release) for one in interests],
        short_term=whole.get("short"),
        long_term=whole.get("long"),
    )


def _name_interests(
    user: UserState, release: ServedRelease, items_of: Mapping[str, np.ndarray], recall: Recall
) -> UserInterests:
    try:
        named = recall.find_user_interests(release, user.users, items_of) if items_of else None
    except Exception:
        logger.exception("interests have no names in this answer")
        named = None
    return named or UserInterests([], {})


def _events(recent: SequenceBatch, release: ServedRelease) -> list[ProfileEvent]:
    name_of = {code: name for name, code in behaviours.load_behaviours().encoder.items()}
    session_L = sessionize(recent)[0]
    column = {name: values_BL[0] for name, values_BL in recent.columns.items()}
    catalogue, vocabulary = release.catalog, release.vocabulary
    found = []
    for place in range(int(recent.length_B[0])):
        item = int(column["track_id"][place])
        found.append(
            ProfileEvent(
                track_id=str(vocabulary.track_ids_V[item]),
                title=catalogue.titles_V[item],
                artists=catalogue.artist_names_V[item],
                behaviour=name_of.get(int(column["behaviour"][place]), ""),
                ended_at=int(column["ended_at"][place]),
                played_ratio=round(float(column["played_ratio"][place]), 3),
                session=int(session_L[place]),
            )
        )
    return found


def _newest_session(recent: SequenceBatch) -> np.ndarray:
    """The items of the last session but those that were skipped or refused."""
    table = behaviours.load_behaviours()
    unwanted = [table.encoder[name] for name in ("skip", "dislike", "block")]
    session = sessionize(recent)
    return _items(recent, (session == session.max()) & (session > 0) & ~np.isin(recent.columns["behaviour"], unwanted))


def _items(batch: SequenceBatch, wanted_BL: np.ndarray) -> np.ndarray:
    item_L = batch.columns["track_id"][0][wanted_BL[0]]
    known: np.ndarray = item_L[item_L >= FIRST_CODE]
    return known


def _summarize_interest(items: np.ndarray, share: float, name: str | None, release: ServedRelease) -> InterestSummary:
    catalogue = release.catalog
    artists = _most_frequent(name for item in items.tolist() for name in catalogue.artist_names_V[item][:1])
    titles = [catalogue.titles_V[item] for item in _most_frequent(items.tolist())]
    return InterestSummary(" · ".join(artists[:3]) if name is None else name, round(share, 3), titles, artists)


def _most_frequent(of: Iterable[T]) -> list[T]:
    """The most frequent ones, the most frequent first."""
    return [one for one, _ in Counter(of).most_common(MAX_EXAMPLES)]
