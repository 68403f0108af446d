"""Features of past requests, as they were known before each.

Opening Feast takes longer than fitting some channels, so the contracts of all feature services are written next to the registry and
reused while the registry is unchanged, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from config import settings
from recommender.user.user_batch import UserBatch, column_name
from sequences.feature_services import ServiceContract
from sequences.sequence_batch import drop_reversed
from storage.files import atomic_write
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData

if TYPE_CHECKING:
    from feast import FeatureStore


REGISTRY_FILE, REGISTRY_CACHE_FILE = "registry.db", "feature_services.json"


@dataclass
class OfflineFeatures:
    """Point-in-time features of past requests, by feature service."""

    data: TrainingData

    @cached_property
    def store(self) -> FeatureStore:
        """The Feast repository, opened on first use."""
        from sequences.feast_store import open_store

        return open_store()

    def contract(self, service: str) -> ServiceContract:
        """The contract of a feature service; the registry is read once.

        Raises:
            LookupError: the registry has no such service.
        """
        if service in self.data.services:
            return self.data.services[service]
        if service in self._registered:
            return ServiceContract(*map(tuple, self._registered[service]))
        return ServiceContract.of(self.store, service)

    @cached_property
    def _registered(self) -> dict[str, Any]:
        """The parts of the contracts of all registered services."""
        return read_cached_registry(self._read_registry)

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
            scene_B=[scene or "" for scene in scenes or []],
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
        names = [column_name(feature) for feature in features]
        numbers = found[names].apply(pd.to_numeric, errors="coerce").fillna(0.0)
        return {name: numbers[name].to_numpy(dtype=np.float32) for name in names}


def load_user_batches(data: TrainingData, cases: RecallCases, service: str) -> list[UserBatch]:
    """The requests of the cases with their features, in chunks."""
    load = OfflineFeatures(data).load_user_batch
    return [load(service, chunk.user_ids.tolist(), chunk.request_at_C) for chunk in cases.chunks()]


def read_cached_registry(read_registry: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The JSON result of `read_registry`, cached while the registry file is unchanged; {} without a registry."""
    folder = settings.load_settings().feast
    registry, cache = folder / REGISTRY_FILE, folder / REGISTRY_CACHE_FILE
    if not registry.exists():
        return {}
    registry_hash = hashlib.sha256(registry.read_bytes()).hexdigest()
    if cache.exists() and (cached := json.loads(cache.read_text()))["registry"] == registry_hash:
        return dict(cached["services"])
    services = read_registry()
    content = json.dumps({"registry": registry_hash, "services": services}, indent=2) + "\n"
    atomic_write(cache, content, is_contended=True)
    return services
