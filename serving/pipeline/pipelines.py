"""The pipelines of all kinds of requests, which share their stages."""

from __future__ import annotations

from dataclasses import dataclass

from serving.events.exposure_log import Exposure
from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.daily_lists import DailyLists
from serving.pipeline.exposure_writer import ExposureWriter
from serving.pipeline.request import Request
from serving.pipeline.smooth_path_pipeline import PathPipeline
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall
from serving.pipeline.track_pipeline import TrackPipeline
from training.slate.scene_settings import PATH, TRACKS


class NoExposures:
    """The exposure log of a process that must not write."""

    def write(self, exposure: Exposure) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Pipelines:
    """One pipeline for each kind of response."""

    tracks: TrackPipeline
    collections: CollectionPipeline
    path: PathPipeline

    @classmethod
    def build(
        cls,
        hydrator: Hydrator,
        recall: Recall,
        ranking: Ranking,
        lists: DailyLists,
        metrics: Metrics,
        exposures: ExposureWriter,
    ) -> Pipelines:
        """The pipelines over these stages, which write to this exposure log."""
        return cls(
            TrackPipeline(hydrator, recall, lists, exposures, metrics, ranking),
            CollectionPipeline(hydrator, recall, exposures, metrics),
            PathPipeline(hydrator, recall, exposures, metrics),
        )

    def of(self, request: Request) -> TrackPipeline | CollectionPipeline | PathPipeline:
        """The pipeline of a request."""
        if request.scene.name == PATH.name:
            return self.path
        return self.tracks if request.scene.item_type == TRACKS else self.collections
