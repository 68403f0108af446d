"""Feature services as training and serving read them: which views and features a service holds, cached per registry.

Opening Feast takes longer than fitting some channels, so the contracts of all services are written next to the registry
and reused while the registry is unchanged, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config import settings
from sequences.views import SEQUENCE_VIEWS
from storage.files import atomic_write

if TYPE_CHECKING:
    from feast import FeatureStore

REGISTRY_FILE, REGISTRY_CACHE_FILE = "registry.db", "feature_services.json"


NUMERIC_TYPES = {"Bool", "Int32", "Int64", "Float32", "Float64"}
"""Feast types of features that models read."""


@dataclass(frozen=True)
class ServiceContract:
    """Views and features that a Feast feature service holds."""

    sequence_views: tuple[str, ...]  # names of sequence views
    features: tuple[str, ...] = ()  # numeric features of the user, each as `view:feature`

    @classmethod
    def of(cls, store: FeatureStore, service: str) -> ServiceContract:
        """The contract of a registered service.

        Raises:
            LookupError: the registry has no such service.
        """
        try:
            projections = store.get_feature_service(service).feature_view_projections
        except Exception as error:
            raise LookupError(
                f"feature service {service!r} is not registered; run `feast -c feature_repo apply`"
            ) from error
        # Views of tracks are excluded, since they are read in process, by track.
        others = [projection for projection in projections if projection.name_to_use() not in SEQUENCE_VIEWS]
        of_user = [view for view in others if list(store.get_feature_view(view.name).entities) == ["user"]]
        return cls(
            sequence_views=tuple(view.name_to_use() for view in projections if view.name_to_use() in SEQUENCE_VIEWS),
            features=tuple(
                f"{view.name_to_use()}:{feature.name}"
                for view in of_user
                for feature in view.features
                if str(feature.dtype) in NUMERIC_TYPES
            ),
        )


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
