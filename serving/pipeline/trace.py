"""What one request went through, filled in stage by stage: a debugging client reads it, and the log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from serving.observability.metrics import Metrics
from serving.pipeline.recall import RecallResult


@dataclass
class Trace:
    """One request's way through one release.

    Attributes:
        release: the one that answered.
        discovery: share of discoveries that fusion was to give, 0..1; None where that is not asked.
        state_from: `store`, or where it did not answer `memory`, or `nothing`.
        stage_ms: stage ▸ milliseconds, in the order of the path.
        candidates: channel ▸ how many it found.
        left_out: channel ▸ why it has no part in the answer: `failed`, `late` or `busy`.
        fused: distinct candidates of all channels.
        removed: filter ▸ how many it removed, of the candidates and of what the answer was topped up with.
        ranked: candidates that were put in order.
        listed: tracks that come from the list of the day.
        explored: new tracks that chance put into the answer, this time.
    """

    release: str
    discovery: float | None
    state_from: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)
    candidates: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    fused: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    ranked: int = 0
    listed: int = 0
    explored: int = 0

    @contextmanager
    def time_stage(self, stage: str, metrics: Metrics) -> Iterator[None]:
        """Time one stage, failed ones too, here and in the metrics."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            metrics.stage_seconds.labels(stage).observe(seconds)
            self.stage_ms[stage] = round(seconds * 1000, 3)

    def record_recall(self, recalled: RecallResult) -> None:
        """Note what the channels found."""
        self.candidates = {name: int((one.items_BK > 0).sum()) for name, one in recalled.candidates.items()}
        self.left_out = dict(recalled.left_out)

    def record_removed(self, removed: Mapping[str, int]) -> None:
        """Note what the filters removed, this time too."""
        for name, count in removed.items():
            self.removed[name] = self.removed.get(name, 0) + count
