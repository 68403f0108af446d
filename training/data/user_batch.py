"""User batches: the features of B requests as arrays, the same for training and serving.

A model names a Feast feature service, which lists the views that it reads. Sequence views come from the point-in-time
reader (offline) or as lists from the online store; ordinary views from Feast's `get_historical_features` or
`get_online_features`. Legend: B requests, L events, H items of a user's history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from sequences.reversals import drop_reversed
from sequences.sequence_batch import SequenceBatch, encode
from sequences.views import SEQUENCE_VIEWS
from training.data.feature_services import ServiceContract, read_cached_registry
from training.data.profile_exclusions import NO_ITEMS, LeftOut, leave_out
from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.training_data import TrainingData
from training.data.user_history import full_history_begin, unique_history_items
from training.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from feast import FeatureStore

Value = TypeVar("Value")


@dataclass(frozen=True)
class UserBatch:
    """B requests with all features that are known before them."""

    user_ids: list[str]
    request_at_B: np.ndarray  # µs UTC
    views: dict[str, SequenceBatch]  # by sequence view; oldest event first, padded right
    scene_B: list[str] = field(default_factory=list)  # "": no scene
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
        value: Value = self._cache[owner]
        return value

    @cached_property
    def history_items(self) -> Ragged:
        """Distinct items of each user's history, ascending (`training.data.user_history.unique_history_items`)."""
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


@dataclass
class OfflineFeatures:
    """Point-in-time features of past requests, by feature service."""

    data: TrainingData

    def __post_init__(self) -> None:
        self._store: FeatureStore | None = None
        self._contracts: dict[str, ServiceContract] = {}

    @property
    def store(self) -> FeatureStore:
        """The Feast repository, opened on first use."""
        if self._store is None:
            from sequences.feast_store import open_store

            self._store = open_store()
        return self._store

    def contract(self, service: str) -> ServiceContract:
        """The contract of a feature service; the registry is read once.

        Raises:
            LookupError: the registry has no such service.
        """
        if service in self.data.services:
            return self.data.services[service]
        if not self._contracts:
            registered = read_cached_registry(self._read_registry)
            self._contracts = {name: ServiceContract(*map(tuple, parts)) for name, parts in registered.items()}
        if service not in self._contracts:
            self._contracts[service] = ServiceContract.of(self.store, service)
        return self._contracts[service]

    def _read_registry(self) -> dict[str, Any]:
        names = [service.name for service in self.store.list_feature_services()]
        return {name: astuple(ServiceContract.of(self.store, name)) for name in names}

    def preload(self, service: str) -> None:
        """Load the arrays of a service's views, so that processes forked later share them."""
        for view in self.contract(service).sequence_views:
            self.data.reader(view)

    def load_user_batch(
        self,
        service: str,
        user_ids: Sequence[str],
        times: np.ndarray,
        scenes: Sequence[str] | None = None,
        profile: dict[str, np.ndarray] | None = None,
    ) -> UserBatch:
        """Features of each request as they were known before its time.

        Args:
            service: Name of a feature service.
            user_ids: B user ids.
            times: Request times, µs UTC [B].
            scenes: Scene of each request.
            profile: Result of `load_profile` for these requests. A query to Feast takes as long for one row as for
                thousands, so callers with many batches load the profiles of all of them together. None: load it here.
        """
        contract, times = self.contract(service), np.asarray(times, dtype=np.int64)
        ids = [str(user) for user in user_ids]
        views = {view: drop_reversed(self.data.reader(view).read(ids, times)) for view in contract.sequence_views}
        users = UserBatch(
            user_ids=ids,
            request_at_B=times,
            views=views,
            scene_B=_fill_scenes(scenes, len(ids)),
            profile=self.load_profile(service, ids, times) if profile is None else profile,
        )
        return users.leave_out(self.data.profile_exclusions.of_users(ids))[0]

    def load_profile(self, service: str, user_ids: Sequence[str], times: np.ndarray) -> dict[str, np.ndarray]:
        """Ordinary features of each request as known before its time (µs UTC); empty if the service has none."""
        features = list(self.contract(service).features)
        if not features:
            return {}
        # The position of a request is a column, since Feast does not guarantee the order of rows.
        rows = pd.DataFrame(
            {
                "user_id": list(user_ids),
                "event_timestamp": pd.to_datetime(times, unit="us", utc=True),
                "request": np.arange(len(times)),
            }
        )
        found = self.store.get_historical_features(entity_df=rows, features=features, full_feature_names=True).to_df()
        found = found.sort_values("request", kind="stable")
        return {_column_name(feature): _to_floats(found[_column_name(feature)]) for feature in features}


def load_user_batches(data: TrainingData, cases: RecallCases, service: str) -> list[UserBatch]:
    """The requests of the cases with their features, in chunks."""
    features = OfflineFeatures(data)
    chunks = [cases.take(rows) for rows in iterate_chunks(len(cases))]
    return [features.load_user_batch(service, chunk.user_ids.tolist(), chunk.request_at_C) for chunk in chunks]


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
    names = [_column_name(feature) for feature in contract.features]
    return UserBatch(
        user_ids=[str(user) for user in user_ids],
        request_at_B=np.asarray(times, dtype=np.int64),
        views=views,
        scene_B=_fill_scenes(scenes, len(user_ids)),
        profile={name: np.array([row.get(name) or 0.0 for row in rows], dtype=np.float32) for name in names},
    )


def _column_name(feature: str) -> str:
    return feature.replace(":", "__")


def _to_floats(column: pd.Series) -> np.ndarray:
    values: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    values[np.isnan(values)] = 0.0
    return values


def _fill_scenes(scenes: Sequence[str] | None, count: int) -> list[str]:
    return [scene or "" for scene in scenes] if scenes is not None else [""] * count
