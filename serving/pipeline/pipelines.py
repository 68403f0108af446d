"""The pipelines of all kinds of requests, which share their stages."""

from __future__ import annotations

from dataclasses import dataclass

from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.daily_lists import DailyLists
from serving.pipeline.pipeline import ExposureWriter, Pipeline
from serving.pipeline.request import Request
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.seed_pipeline import SeedPipeline
from serving.pipeline.smooth_path_pipeline import PathPipeline
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from serving.pipeline.track_pipeline import TrackPipeline
from serving.releases.served_release import ServedRelease
from training.slate.scene_settings import PATH, TRACKS


@dataclass(frozen=True)
class Pipelines:
    """One pipeline for each kind of request."""

    tracks: TrackPipeline
    seeds: SeedPipeline
    path: PathPipeline
    collections: CollectionPipeline

    @classmethod
    def build(
        cls,
        hydrator: Hydrator,
        recall: Recall,
        lists: DailyLists,
        metrics: Metrics,
        exposures: ExposureWriter,
    ) -> Pipelines:
        """The pipelines over these stages, which write to this exposure log."""
        stages = hydrator, recall, exposures, metrics
        return cls(
            TrackPipeline(hydrator, recall, lists, exposures, metrics),
            SeedPipeline(*stages),
            PathPipeline(*stages),
            CollectionPipeline(*stages),
        )

    def recommend(self, request: Request, release: ServedRelease, is_shown: bool = True) -> RecommendationResponse:
        """See `Pipeline.recommend` of the request's pipeline."""
        return self._of(request).recommend(request, release, is_shown)

    def _of(self, request: Request) -> Pipeline:
        if request.scene.name == PATH.name:
            return self.path
        if request.is_about_tracks:
            return self.seeds
        return self.tracks if request.scene.item_type == TRACKS else self.collections
