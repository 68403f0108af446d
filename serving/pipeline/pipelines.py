"""The pipelines of all kinds of requests, which share their stages."""

from __future__ import annotations

from event_store.store import ServingState
from recommender.slate.scene_settings import PATH, TRACKS
from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.pipeline import Pipeline
from serving.pipeline.request import Request
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.seed_pipeline import SeedPipeline
from serving.pipeline.smooth_path_pipeline import PathPipeline
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from serving.pipeline.track_pipeline import TrackPipeline
from serving.releases.served_release import ServedRelease


class Pipelines:
    """One pipeline for each kind of request, all over these stages and this state, see `Pipeline`."""

    def __init__(self, hydrator: Hydrator, recall: Recall, state: ServingState, metrics: Metrics) -> None:
        stages = hydrator, recall, state, metrics
        self._tracks, self._collections = TrackPipeline(*stages), CollectionPipeline(*stages)
        self._seeds, self._path = SeedPipeline(*stages), PathPipeline(*stages)

    def recommend(
        self, request: Request, release: ServedRelease, is_shown: bool = True, is_kept: bool = False
    ) -> RecommendationResponse:
        """See `Pipeline.recommend` of the request's pipeline."""
        if request.is_about_tracks:
            pipeline: Pipeline = self._path if request.scene.name == PATH.name else self._seeds
        else:
            pipeline = self._tracks if request.scene.item_type == TRACKS else self._collections
        return pipeline.recommend(request, release, is_shown, is_kept)
