"""Feature services as training and serving read them: which views and features a service holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sequences.sequence_views import SEQUENCE_VIEWS

if TYPE_CHECKING:
    from feast import FeatureStore

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
