"""Trace of one request through the pipeline, for debugging clients and the log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from serving.observability.metrics import Metrics
from serving.pipeline.recall import RecallResult


@dataclass
class Trace:
    """Counts and times of one request, filled in by the stages."""

    release: str  # release that computed the response
    discovery: float | None  # fraction of new tracks requested from fusion, 0..1; None if not applicable
    state_from: str = ""  # source of the user state: `store`, or if it failed `memory` or `nothing`
    stage_ms: dict[str, float] = field(default_factory=dict)  # stage → milliseconds, in pipeline order
    candidates: dict[str, int] = field(default_factory=dict)  # channel → number of candidates
    left_out: dict[str, str] = field(default_factory=dict)  # channel → why it was skipped: `failed`, `late` or `busy`
    fused: int = 0  # distinct candidates of all channels
    removed: dict[str, int] = field(default_factory=dict)  # filter → number of candidates removed, fallback ones too
    ranked: int = 0  # candidates that were ranked
    listed: int = 0  # tracks taken from today's list
    explored: int = 0  # tracks that exploration added in this request

    @contextmanager
    def time_stage(self, stage: str, metrics: Metrics) -> Iterator[None]:
        """Record the duration of a stage, also of a failing one, here and in the metrics."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            metrics.stage_seconds.labels(stage).observe(seconds)
            self.stage_ms[stage] = round(seconds * 1000, 3)

    def record_recall(self, recalled: RecallResult) -> None:
        """Record the candidate count of each channel and the channels left out."""
        self.candidates = {name: int((one.items_BK > 0).sum()) for name, one in recalled.candidates.items()}
        self.left_out = dict(recalled.left_out)

    def record_removed(self, removed: Mapping[str, int]) -> None:
        """Add counts of removed candidates per filter."""
        for name, count in removed.items():
            self.removed[name] = self.removed.get(name, 0) + count
