"""Feast's provider for sequences: `provider: sequences.online.feast_provider.SequenceProvider`.

Sequences of users without events are empty lists, as offline, not null. `feast materialize` does not set the online store
back, and the rows that it writes are written again by the pipeline's next run, whose digests no longer describe them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from feast.feature_service import FeatureService
from feast.feature_view import FeatureView
from feast.infra.passthrough_provider import PassthroughProvider
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.repo_config import RepoConfig

from sequences.offline.joined_views import sequence_view_of
from sequences.online.materialization_state import digests_file, distrust_rows, materialization_lock
from sequences.online.store_rows import to_list_value
from sequences.views import ATTRIBUTES, Kind

Features = list[str] | FeatureService


class EarlierRunError(ValueError):
    """A run of `feast materialize` would set the online store back; the message names the right commands."""


class SequenceProvider(PassthroughProvider):
    """Feast's own provider with these two differences."""

    def get_online_features(
        self,
        config: RepoConfig,
        features: Features,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """The features of the entity rows."""
        response = super().get_online_features(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )
        return _fill_sequences(response, _kind_of_columns(features, registry, project, full_feature_names))

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: Features,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """The features of the entity rows."""
        response = await super().get_online_features_async(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )
        return _fill_sequences(response, _kind_of_columns(features, registry, project, full_feature_names))

    def materialize_single_feature_view(
        self,
        config: RepoConfig,
        feature_view: FeatureView | OnDemandFeatureView,
        start_date: datetime,
        end_date: datetime,
        registry: BaseRegistry,
        project: str,
        tqdm_builder: Any,
        disable_event_timestamp: bool = False,
    ) -> None:
        """Write the rows of a view to the online store.

        Raises:
            EarlierRunError: The pipeline has already materialized a later day.
        """
        path = digests_file(Path(config.registry.path).parent, config.online_store.type)
        if path.exists():
            with materialization_lock(path), closing(sqlite3.connect(path)) as digests:
                _admit_run(digests, feature_view.name, end_date)
        super().materialize_single_feature_view(
            config, feature_view, start_date, end_date, registry, project, tqdm_builder, disable_event_timestamp
        )


def _admit_run(digests: sqlite3.Connection, view: str, end: datetime) -> None:
    """Check the end of a run for a view that the pipeline writes, too, and forget the digests of its rows."""
    stored = digests.execute("select value from facts where name = 'as_of'").fetchone()
    is_written = digests.execute("select 1 from digests where view = ? limit 1", (view,)).fetchone()
    if stored is None or is_written is None:
        return
    as_of = stored[0]
    if end.astimezone(UTC) < datetime.combine(date.fromisoformat(as_of), time(), UTC):
        raise EarlierRunError(
            f"the online store has everything known before {as_of}, and materializing {view!r} to {end} would set it back; "
            f"use {as_of}T00:00:00 or a later end, or set all views back with `python -m local.environment python -m "
            f"sequences.online.materialize --as-of {end:%Y-%m-%d} --force`"
        )
    distrust_rows(digests, view)


def _kind_of_columns(
    features: Features, registry: BaseRegistry, project: str, full_feature_names: bool
) -> dict[str, Kind]:
    """Column of the response ▸ kind, for the features of sequences."""
    views = registry.list_feature_views(project, allow_cache=True)
    sequences = {view.name for view in views if sequence_view_of(view.batch_source) is not None}
    if isinstance(features, FeatureService):
        requested = [
            (view.name, view.name_to_use(), feature.name)
            for view in features.feature_view_projections
            for feature in view.features
        ]
    else:
        requested = [(view, view, name) for view, name in (feature.split(":", 1) for feature in features)]
    return {
        f"{column}__{name}" if full_feature_names else name: ATTRIBUTES[name].kind
        for view, column, name in requested
        if view in sequences
    }


def _fill_sequences(response: OnlineResponse, kinds: dict[str, Kind]) -> OnlineResponse:
    """The response with an empty list for each missing sequence."""
    for name, column in zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True):
        for row, value in enumerate(column.values if name in kinds else ()):
            if value.WhichOneof("val") is None:
                value.CopyFrom(to_list_value(kinds[name], []))
                column.statuses[row] = FieldStatus.PRESENT
    return response
