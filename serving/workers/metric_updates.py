"""Updates of metrics in a model worker, which the recommender repeats on its own metrics."""

from __future__ import annotations

from dataclasses import dataclass

from serving.observability.metrics import Metrics


@dataclass(frozen=True)
class MetricUpdate:
    """One update of a metric in another process: `metrics.<metric>.labels(*labels).<method>(value)`."""

    metric: str
    labels: tuple[str, ...]
    method: str
    value: float

    def apply(self, metrics: Metrics) -> None:
        """Repeat the update."""
        getattr(getattr(metrics, self.metric).labels(*self.labels), self.method)(self.value)


class MetricRecorder:
    """Stands in for `Metrics` and records updates of metrics with labels."""

    def __init__(self) -> None:
        self._updates: list[MetricUpdate] = []

    def __getattr__(self, metric: str) -> _RecordedMetric:
        return _RecordedMetric(self._updates, metric)

    def take(self) -> list[MetricUpdate]:
        """The updates since the last call."""
        taken = self._updates[:]
        del self._updates[: len(taken)]
        return taken


class _RecordedMetric:
    def __init__(self, updates: list[MetricUpdate], metric: str, labels: tuple[str, ...] = ()) -> None:
        self._updates, self._metric, self._labels = updates, metric, labels

    def labels(self, *labels: str) -> _RecordedMetric:
        return _RecordedMetric(self._updates, self._metric, labels)

    def inc(self, amount: float = 1) -> None:
        self._updates.append(MetricUpdate(self._metric, self._labels, "inc", amount))

    def observe(self, amount: float) -> None:
        self._updates.append(MetricUpdate(self._metric, self._labels, "observe", amount))
