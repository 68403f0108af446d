"""Live state of the recommender: rates and latencies of the last hour, sampled from its Prometheus metrics."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from config.settings import Settings

INTERVAL_S = 5.0
KEPT_SAMPLES = 720  # an hour
TIMEOUT_S = 2.0
QUANTILE = 0.95
ANSWERED = "answered"  # outcome of a request without an error
CLIENT_ERRORS = frozenset({"RequestRejected", "UnknownTrack", "NoCollections", "NoItemVectors"})
"""Outcomes of requests that the client must change (400 and 404); the alert SegueErrors leaves out the same ones."""

SERVED, LATENCY, REJECTED = "segue_recommend_requests_total", "segue_recommend_seconds_bucket", "segue_refused_total"
EVENTS = "segue_events_total"
SKIPPED = {"segue_skipped_total": "part", "segue_cut_off_total": "channel"}
"""Counter of requests that were answered without a part → label with the name of the part."""


@dataclass(frozen=True)
class Totals:
    """Values of the metrics at one time, since the start of the recommender."""

    time_s: float
    answers: float = 0  # with the responses to CLIENT_ERRORS
    errors: float = 0  # failed requests, and requests rejected because the queue was full
    buckets: Mapping[float, float] = field(
        default_factory=dict
    )  # upper bound in seconds → requests that took at most that
    events: float = 0
    skipped: Mapping[str, float] = field(default_factory=dict)  # part → requests that were answered without it


@dataclass(frozen=True)
class Sample:
    """Rates between two readings; None where there was no request."""

    time_s: float  # seconds since 1970
    requests_per_s: float
    p95_ms: float | None
    error_share: float | None
    requests: float = 0
    skipped: Mapping[str, float] = field(default_factory=dict)  # part → requests that were answered without it


def read_totals(text: str, time_s: float) -> Totals:
    """Totals of a page in Prometheus' text format.

    Raises:
        ValueError: The text is not in that format.
    """
    sums: dict[str, float] = defaultdict(float)
    buckets: dict[float, float] = defaultdict(float)
    skipped: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == LATENCY:
                buckets[float(sample.labels["le"])] += sample.value
            elif sample.name == SERVED:
                is_error = sample.labels["outcome"] not in (ANSWERED, *CLIENT_ERRORS)
                sums["errors" if is_error else "answers"] += sample.value
            elif sample.name in SKIPPED:
                skipped[sample.labels[SKIPPED[sample.name]]] += sample.value
            else:
                sums[sample.name] += sample.value
    return Totals(
        time_s,
        answers=sums["answers"],
        errors=sums["errors"] + sums[REJECTED],
        buckets=dict(buckets),
        events=sums[EVENTS],
        skipped=dict(skipped),
    )


def compare_totals(earlier: Totals, later: Totals) -> Sample:
    """Rates between two readings. After a restart of the recommender, whose counters then start at 0, rates since that start."""
    if later.answers < earlier.answers or later.errors < earlier.errors or later.events < earlier.events:
        earlier = Totals(earlier.time_s)
    seconds = max(later.time_s - earlier.time_s, 1e-3)
    answers, errors = later.answers - earlier.answers, later.errors - earlier.errors
    requests = answers + errors
    buckets = {bound: count - earlier.buckets.get(bound, 0.0) for bound, count in later.buckets.items()}
    quantile = histogram_quantile(buckets, QUANTILE)
    return Sample(
        time_s=later.time_s,
        requests_per_s=requests / seconds,
        p95_ms=None if quantile is None else quantile * 1000,
        error_share=errors / requests if requests else None,
        requests=requests,
        skipped={
            part: count - earlier.skipped.get(part, 0.0)
            for part, count in later.skipped.items()
            if count > earlier.skipped.get(part, 0.0)
        },
    )


def histogram_quantile(buckets: Mapping[float, float], quantile: float) -> float | None:
    """Quantile of a cumulative histogram, linear within a bucket, as Prometheus' function of that name; None if it is empty."""
    total = max(buckets.values(), default=0.0)
    if total <= 0:
        return None
    rank, lower_bound, lower_count = quantile * total, 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            if bound == float("inf"):
                return lower_bound
            return lower_bound + (bound - lower_bound) * (rank - lower_count) / (count - lower_count)
        lower_bound, lower_count = bound, count
    return lower_bound


class MetricsMissing(Exception):
    """A page of metrics is not answered, or not in Prometheus' format; the message names it and the cause."""


def _read_page(url: str, clock: Callable[[], float]) -> Totals:
    """Totals of a page of metrics.

    Raises:
        MetricsMissing: It cannot be read.
    """
    try:
        return read_totals(httpx.get(url, timeout=TIMEOUT_S).raise_for_status().text, clock())
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise MetricsMissing(
            f"{url} cannot be read within {TIMEOUT_S:g} s ({type(error).__name__}: {error})"
        ) from error


class MetricsSampler:
    """Thread that reads the recommender's metrics every few seconds and keeps the rates of the last hour.

    Args:
        settings: Address of the recommender.
        interval_s: Seconds between two readings.

    Attributes:
        problem: Why the last reading failed; empty if it did not.
    """

    def __init__(self, settings: Settings, interval_s: float = INTERVAL_S) -> None:
        self._url = f"{settings.service_url('recommender')}/metrics"
        self._interval_s = interval_s
        self.problem = ""
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self._earlier: Totals | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics sampler", daemon=True)

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._stopped.set()
        self._thread.join()

    def samples(self) -> list[dict[str, float | None]]:
        """Samples of the last hour, oldest first."""
        return [asdict(sample) for sample in list(self._samples)]

    def sample(self, clock: Callable[[], float] = time.time) -> None:
        """Read the metrics once. A recommender that does not answer leaves a gap."""
        try:
            later = _read_page(self._url, clock)
        except MetricsMissing as error:
            self._earlier, self.problem = None, str(error)
            return
        self.problem = ""
        if self._earlier is not None:
            self._samples.append(compare_totals(self._earlier, later))
        self._earlier = later

    def _run(self) -> None:
        while True:
            self.sample()
            if self._stopped.wait(self._interval_s):
                return
