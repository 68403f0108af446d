"""User batches: the features of B requests as arrays, the same for training and serving.

A model names a Feast feature service, which lists the views that it reads. Sequence views come from the point-in-time
reader (offline) or as lists from the online store; ordinary views from Feast's `get_historical_features` or
`get_online_features`.

A candidate is a repeat if it is in the history that the request itself reads, else a discovery. Evaluation and serving
read the same views and therefore agree; a track last played more events ago than the views hold counts as a discovery.
Legend: B requests, L events, H items of a user's history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np

from recommender.catalog.arrays import Ragged, is_among, unique_values
from recommender.catalog.vocabulary import Vocabulary
from recommender.user.exclusions import NO_ITEMS, LeftOut, leave_out
from sequences import behaviors, sessions
from sequences.feature_services import ServiceContract
from sequences.sequence_batch import FIRST_CODE, SequenceBatch, drop_reversed, encode
from sequences.sequence_views import SEQUENCE_VIEWS

HISTORY_VIEW = "played_history"  # all plays of a user, including skips
RECENT_VIEW = "recent_events"
USER_HISTORY_VIEWS = (HISTORY_VIEW, RECENT_VIEW)

LISTEN_BEHAVIORS = ("full_play", "play")
ITEM_BITS = 32
"""Bits of the item in a key of row and item."""
NEW_USER_TRACKS = 3
"""A user with fewer distinct played tracks is new."""
KEPT_BEHAVIORS = ("like", "collect", "share", "download")
"""Behaviors by which a user keeps a track."""


def full_history_begin(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Time (µs UTC, [B]) of the first event of each full HISTORY_VIEW, before which there may be more plays; else 0.

    Empty without the view.
    """
    history = views.get(HISTORY_VIEW)
    if history is None:
        return np.zeros(0, dtype=np.int64)
    first_B = history.columns["ended_at"][:, :1].max(axis=1, initial=0)
    return np.where(history.length_B >= SEQUENCE_VIEWS[HISTORY_VIEW].length, first_B, 0)


def is_listened(history: SequenceBatch) -> np.ndarray:
    """Which events are listens, bool [B, L]; padding is not."""
    return has_behavior(history, LISTEN_BEHAVIORS)


def has_behavior(events: SequenceBatch, names: Sequence[str]) -> np.ndarray:
    """Which events have one of the named behaviors, bool [B, L]; padding has none."""
    return _named_codes(tuple(names))[events.columns["behavior"]] & events.mask_BL


@lru_cache
def _named_codes(names: tuple[str, ...]) -> np.ndarray:
    """Whether each behavior code is one of the named behaviors."""
    code_of = behaviors.load_behaviors().encoder
    is_named_V = np.zeros(max(code_of.values()) + 1, dtype=bool)
    is_named_V[[code_of[name] for name in names]] = True
    return is_named_V


def unique_history_items(views: Mapping[str, SequenceBatch]) -> Ragged:
    """The distinct items of USER_HISTORY_VIEWS for each request, ascending, without unknown items; one view may be missing."""
    items_BL = np.concatenate([views[name].columns["track_id"] for name in USER_HISTORY_VIEWS if name in views], axis=1)
    row, column = (items_BL >= FIRST_CODE).nonzero()
    key = unique_values(row << ITEM_BITS | items_BL[row, column])
    return Ragged(key & ((1 << ITEM_BITS) - 1), (key >> ITEM_BITS).searchsorted(np.arange(len(items_BL) + 1)))


def kept_items(views: Mapping[str, SequenceBatch]) -> set[int]:
    """Items that the user of the first request liked, saved, shared or downloaded, in RECENT_VIEW; empty without it."""
    recent = views.get(RECENT_VIEW)
    if recent is None:
        return set()
    return set(recent.columns["track_id"][0][has_behavior(recent, KEPT_BEHAVIORS)[0]].tolist())


def skipped_unheard_items(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request skipped, and neither listened to nor liked or saved."""
    history = views[HISTORY_VIEW]
    item_L, is_listened_L = history.columns["track_id"][0], is_listened(history)[0]
    skipped = item_L[has_behavior(history, ("skip",))[0]]
    heard = np.concatenate([item_L[is_listened_L], np.array(list(kept_items(views)), dtype=np.int64)])
    items = unique_values(skipped[skipped >= FIRST_CODE])
    return items[~is_among(items, heard)]


def items_listened_twice(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request has listened to at least twice, as far as HISTORY_VIEW has
    them. A clip that is too short for a listen counts if it was played to its end.
    """
    history = views[HISTORY_VIEW]
    ratio_L = history.columns["played_ratio"][0]
    is_whole_L = history.mask_BL[0] & (ratio_L >= behaviors.load_behaviors().full_play_ratio)
    is_heard_L = is_listened(history)[0] | is_whole_L
    items, counts = np.unique(history.columns["track_id"][0][is_heard_L], return_counts=True)
    return items[(counts >= 2) & (items >= FIRST_CODE)]


def current_session_items(views: Mapping[str, SequenceBatch], request_at_B: np.ndarray) -> np.ndarray:
    """Distinct items that the user of the first request played or skipped in the current session, by their last play."""
    recent = views[RECENT_VIEW]
    if not recent.length_B[0]:
        return np.zeros(0, dtype=np.int64)
    plays = [behaviors.load_behaviors().encoder[name] for name in behaviors.load_behaviors().with_action("play")]
    is_current = sessions.is_in_current_session(recent, recent.length_B, request_at_B)
    item_L = recent.columns["track_id"][is_current & np.isin(recent.columns["behavior"], plays)]
    items = item_L[item_L >= FIRST_CODE].tolist()
    return np.array(list(dict.fromkeys(reversed(items)))[::-1], dtype=np.int64)


def unplayed_items_of_new_user(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request liked, clicked or else chose, but never played.

    These tell what a new user wants, for example three songs picked at the start, and are no recommendations. Empty for
    a user with at least NEW_USER_TRACKS played tracks.
    """
    recent = views[RECENT_VIEW]
    is_play_L = has_behavior(recent, behaviors.load_behaviors().with_action("play"))[0]
    item_L = recent.columns["track_id"][0]
    played_items = np.unique(np.concatenate([item_L[is_play_L], views[HISTORY_VIEW].columns["track_id"][0]]))
    if (played_items >= FIRST_CODE).sum() >= NEW_USER_TRACKS:
        return np.zeros(0, dtype=np.int64)
    return np.setdiff1d(item_L[recent.mask_BL[0] & (item_L >= FIRST_CODE)], played_items)


Value = TypeVar("Value")


@dataclass(frozen=True)
class UserBatch:
    """B requests with all features that are known before them."""

    user_ids: list[str]
    request_at_B: np.ndarray  # µs UTC
    views: dict[str, SequenceBatch]  # by sequence view; oldest event first, padded right
    scene_B: list[str] = field(default_factory=list)  # "": no scene; empty: no request has one
    profile: dict[str, np.ndarray] = field(default_factory=dict)  # float32 [B] by `view__feature`; 0: unknown
    left_out_begin_B: np.ndarray = field(default_factory=lambda: NO_ITEMS)
    """`full_history_begin` of the views before events were left out of them; empty: none was left out."""
    _cache: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """Number of requests, B."""
        return len(self.user_ids)

    def get_or_compute(self, owner: object, compute: Callable[[], Value]) -> Value:
        """The result of `compute`, cached per owner, e.g. for a channel that computes candidates and then reasons."""
        if owner not in self._cache:
            self._cache[owner] = compute()
        return self._cache[owner]

    @cached_property
    def history_items(self) -> Ragged:
        """Distinct items of each user's history, ascending (`recommender.user.user_batch.unique_history_items`)."""
        return unique_history_items(self.views)

    @cached_property
    def history_items_BH(self) -> np.ndarray:
        """`history_items` as an array [B, H], padded right with 0."""
        count_B = self.history_items.count_C
        history_BH = np.zeros((len(self), int(count_B.max(initial=0))), dtype=np.int64)
        history_BH[np.arange(history_BH.shape[1]) < count_B[:, None]] = self.history_items.items
        return history_BH

    def take(self, rows: Sequence[int]) -> UserBatch:
        """The requests of `rows`, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        return UserBatch(
            user_ids=[self.user_ids[row] for row in index],
            request_at_B=self.request_at_B[index],
            views={name: batch.take(index) for name, batch in self.views.items()},
            scene_B=[self.scene_B[row] for row in index] if self.scene_B else [],
            profile={name: values[index] for name, values in self.profile.items()},
            left_out_begin_B=self.left_out_begin_B[index] if len(self.left_out_begin_B) else NO_ITEMS,
        )

    def leave_out(self, left_out_B: Sequence[LeftOut]) -> tuple[UserBatch, np.ndarray]:
        """The requests without the events that their users left out, and the items of these events with repetitions."""
        if not any(len(one) for one in left_out_B):
            return self, NO_ITEMS
        views, event_items = leave_out(self.views, left_out_B)
        return replace(self, views=views, left_out_begin_B=full_history_begin(self.views)), event_items


def user_batch_from_online(
    vocabulary: Vocabulary,
    contract: ServiceContract,
    user_ids: Sequence[str],
    times: np.ndarray,
    *,
    sequences: Sequence[Mapping[str, Mapping[str, Sequence[Any]]]],
    profiles: Sequence[Mapping[str, float | None]] = (),
    scenes: Sequence[str] | None = None,
) -> UserBatch:
    """The same arrays from rows of the online store; missing views and values count as empty.

    Args:
        vocabulary: Codes of tracks and other attributes.
        contract: Views and features to encode.
        user_ids: B user ids.
        times: Request times, µs UTC [B].
        sequences: Per user, lists by view and attribute, oldest event first.
        profiles: Per user, values by `view__feature`.
        scenes: Scene of each request.
    """
    encoders = vocabulary.encoders()
    empty: Mapping[str, float | None] = {}
    views = {}
    for name in contract.sequence_views:
        view = SEQUENCE_VIEWS[name]
        no_events: dict[str, Sequence[Any]] = defaultdict(list)
        views[name] = drop_reversed(encode(view, [user.get(name) or no_events for user in sequences], encoders))
    rows = list(profiles) or [empty] * len(user_ids)
    names = [column_name(feature) for feature in contract.features]
    return UserBatch(
        user_ids=[str(user) for user in user_ids],
        request_at_B=np.asarray(times, dtype=np.int64),
        views=views,
        scene_B=list(scenes or []),
        profile={name: np.array([row.get(name) or 0.0 for row in rows], dtype=np.float32) for name in names},
    )


def column_name(feature: str) -> str:
    return feature.replace(":", "__")
