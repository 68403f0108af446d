"""Features of past requests, as they were known before each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd
from feast import FeatureStore

from recommender.user.user_batch import UserBatch, _to_floats, column_name, fill_scenes
from sequences.feature_services import ServiceContract, read_cached_registry
from sequences.reversals import drop_reversed
from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.training_data import TrainingData


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
            scene_B=fill_scenes(scenes, len(ids)),
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
        return {column_name(feature): _to_floats(found[column_name(feature)]) for feature in features}


def load_user_batches(data: TrainingData, cases: RecallCases, service: str) -> list[UserBatch]:
    """The requests of the cases with their features, in chunks."""
    features = OfflineFeatures(data)
    chunks = [cases.take(rows) for rows in iterate_chunks(len(cases))]
    return [features.load_user_batch(service, chunk.user_ids.tolist(), chunk.request_at_C) for chunk in chunks]
