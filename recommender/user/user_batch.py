"""User batches: the features of B requests as arrays, the same for training and serving.

A model names a Feast feature service, which lists the views that it reads. Sequence views come from the point-in-time
reader (offline) or as lists from the online store; ordinary views from Feast's `get_historical_features` or
`get_online_features`. Legend: B requests, L events, H items of a user's history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from recommender.catalog.arrays import Ragged
from recommender.catalog.vocabulary import Vocabulary
from recommender.user.profile_exclusions import NO_ITEMS, LeftOut, leave_out
from recommender.user.user_history import full_history_begin, unique_history_items
from sequences.feature_services import ServiceContract
from sequences.reversals import drop_reversed
from sequences.sequence_batch import SequenceBatch, encode
from sequences.views import SEQUENCE_VIEWS

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
        """Distinct items of each user's history, ascending (`recommender.user.user_history.unique_history_items`)."""
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
