"""Profile of a user for inspection: recent events and the interests that the models derive from them.

Legend: L events. Independent of candidates or HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from recommender.user.user_batch import HISTORY_VIEW, is_listened
from sequences import behaviors
from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.sessions import sessionize
from serving.pipeline.stages.recall import Recall
from serving.pipeline.user_state import UserState
from serving.releases.served_release import ServedRelease
from serving.response_schemas import InterestSummary, ProfileEvent, UserProfileResponse

T = TypeVar("T")

RECENT_VIEW = "recent_events"
MAX_EXAMPLES = 5
"""Number of tracks and of artists in a summary."""


def describe_user(user: UserState, release: ServedRelease, recall: Recall) -> UserProfileResponse:
    """The profile of the user of a hydrated request: `events` oldest first, `short_term` from the latest session.

    Without the channel `multi_interest`, or if it fails, `interests` is empty, and the other summaries are named by artists.
    """
    users = user.users
    recent, history = users.views.get(RECENT_VIEW), users.views.get(HISTORY_VIEW)
    short = _newest_session(recent) if recent is not None else np.zeros(0, dtype=np.int64)
    long = _items(history, is_listened(history)) if history is not None else np.zeros(0, dtype=np.int64)
    items_of = {key: items for key, items in (("short", short), ("long", long)) if len(items)}
    interests, names = recall.find_user_interests(release, users, items_of) if items_of else ([], {})
    whole = {key: _summarize_interest(items, 1.0, names.get(key), release) for key, items in items_of.items()}
    return UserProfileResponse(
        user_id=users.user_ids[0],
        is_known=user.is_known,
        release=release.release_id,
        is_own_catalog=release.is_own_catalog,
        events=_events(recent, release) if recent is not None else [],
        interests=[_summarize_interest(one.items, one.share, one.name, release) for one in interests if len(long)],
        short_term=whole.get("short"),
        long_term=whole.get("long"),
    )


def _events(recent: SequenceBatch, release: ServedRelease) -> list[ProfileEvent]:
    name_of = {code: name for name, code in behaviors.load_behaviors().encoder.items()}
    session_L = sessionize(recent)[0]
    column = {name: values_BL[0] for name, values_BL in recent.columns.items()}
    events = []
    for place in range(int(recent.length_B[0])):
        item = int(column["track_id"][place])
        events.append(
            ProfileEvent(
                **release.details(item),
                behavior=name_of.get(int(column["behavior"][place]), ""),
                ended_at=int(column["ended_at"][place]),
                played_ratio=round(float(column["played_ratio"][place]), 3),
                session=int(session_L[place]),
            )
        )
    return events


def _newest_session(recent: SequenceBatch) -> np.ndarray:
    """The items of the latest session, without skipped, disliked and blocked ones."""
    table = behaviors.load_behaviors()
    unwanted = [table.encoder[name] for name in ("skip", "dislike", "block")]
    session = sessionize(recent)
    return _items(recent, (session == session.max()) & (session > 0) & ~np.isin(recent.columns["behavior"], unwanted))


def _items(batch: SequenceBatch, mask_BL: np.ndarray) -> np.ndarray:
    item_L = batch.columns["track_id"][0][mask_BL[0]]
    return item_L[item_L >= FIRST_CODE]


def _summarize_interest(items: np.ndarray, share: float, name: str | None, release: ServedRelease) -> InterestSummary:
    catalog = release.catalog
    artists = _most_frequent(name for item in items.tolist() for name in catalog.artist_names_V[item][:1])
    titles = [catalog.titles_V[item] for item in _most_frequent(items.tolist())]
    return InterestSummary(" · ".join(artists[:3]) if name is None else name, round(share, 3), titles, artists)


def _most_frequent(values: Iterable[T]) -> list[T]:
    """The `MAX_EXAMPLES` most frequent values, the most frequent first."""
    return [value for value, _ in Counter(values).most_common(MAX_EXAMPLES)]
