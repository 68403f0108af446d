"""Live state of the recommender: rates and latencies of the last hour, sampled from its Prometheus metrics."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from config.settings import Settings

INTERVAL_S = 5.0
MAX_SILENCE_S = 3 * INTERVAL_S
"""Older values are not the present state."""
KEPT_SAMPLES = 720  # an hour
TIMEOUT_S = 2.0
QUANTILE = 0.95
ANSWERED = "answered"  # outcome of a request without an error
CLIENT_ERRORS = frozenset({"RequestRejected", "UnknownTrack", "NoCollections", "NoItemVectors"})
"""Outcomes of requests that the client must change (400 and 404); the alert SegueErrors leaves out the same ones."""

SERVED, REJECTED, SKIPPED = "segue_recommend_requests_total", "segue_rejected_total", "segue_skipped_total"
LATENCIES = {"segue_recommend_seconds_bucket": "request", "segue_event_seconds_bucket": "event"}
"""Histogram → what it times."""
ANSWERS, ERRORS = ("answers", ""), ("errors", "")

Totals = Counter[tuple[str, str]]
"""Values since the start of the recommender: ANSWERS, with the responses to CLIENT_ERRORS; ERRORS, with requests that were rejected
because the queue was full; a value of LATENCIES and the upper bound of a bucket in seconds; `skipped` and the part that requests were
answered without."""


@dataclass(frozen=True)
class Sample:
    """Rates between two readings; None where there was no request."""

    time_s: float  # seconds since 1970
    requests_per_s: float
    p95_ms: float | None
    error_share: float | None
    requests: float = 0
    skipped: Mapping[str, float] = field(default_factory=dict)  # part → requests that were answered without it
    event_lag_ms: float | None = None  # 95th percentile of the time until a reported event is durable and readable


def read_totals(text: str) -> Totals:
    """Totals of a page in Prometheus' text format.

    Raises:
        ValueError: The text is not in that format, or not of a recommender.
    """
    totals, families = Totals(), list(text_string_to_metric_families(text))
    if not any(family.name.startswith("segue_") for family in families):
        raise ValueError("the page has no metric segue_*; check that the recommender has this address")
    for family in families:
        for sample in family.samples:
            if sample.name in LATENCIES:
                totals[LATENCIES[sample.name], sample.labels["le"]] += int(sample.value)
            elif sample.name == SKIPPED:
                totals["skipped", sample.labels["part"]] += int(sample.value)
            elif sample.name == SERVED or (sample.name == REJECTED and sample.labels["reason"] == "queue_full"):
                is_answer = sample.labels.get("outcome") in (ANSWERED, *CLIENT_ERRORS)
                totals[ANSWERS if is_answer else ERRORS] += int(sample.value)
    return totals


def compare_totals(earlier: Totals, later: Totals, time_s: float, seconds: float) -> Sample:
    """Rates between two readings. After a restart of the recommender, whose counters then start at 0, rates since that start."""
    if any(later[key] < count for key, count in earlier.items()):
        earlier = Totals()
    change = {key: count - earlier[key] for key, count in later.items()}
    errors = change.get(ERRORS, 0)
    requests = change.get(ANSWERS, 0) + errors
    return Sample(
        time_s=time_s,
        requests_per_s=requests / seconds,
        p95_ms=_p95_ms(change, "request"),
        error_share=errors / requests if requests else None,
        requests=requests,
        skipped={part: count for (kind, part), count in change.items() if kind == "skipped" and count},
        event_lag_ms=_p95_ms(change, "event"),
    )


def _p95_ms(change: Mapping[tuple[str, str], int], timed: str) -> float | None:
    quantile = histogram_quantile({float(bound): n for (kind, bound), n in change.items() if kind == timed}, QUANTILE)
    return None if quantile is None else quantile * 1000


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


class MetricsSampler:
    """Reads the recommender's metrics by `sample`, which is called every INTERVAL_S, and keeps the rates of the last hour.

    Args:
        settings: Address of the recommender.

    Attributes:
        problem: Why the last reading failed; empty if it did not.
        last_s: Time of the last sample, or of the start before the first one; seconds since 1970.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.service_url('recommender')}/metrics"
        self.problem, self.last_s = "", time.time()
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self._earlier: tuple[float, Totals] | None = None

    def samples(self) -> list[dict[str, float | None]]:
        """Samples of the last hour, oldest first."""
        return [asdict(sample) for sample in list(self._samples)]

    def sample(self, clock: Callable[[], float] = time.time) -> None:
        """Read the metrics once. A recommender that does not answer leaves a gap."""
        try:
            totals = read_totals(httpx.get(self._url, timeout=TIMEOUT_S).raise_for_status().text)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
            self._earlier, self.problem = None, f"{self._url} cannot be read within {TIMEOUT_S:g} s ({why})"
            return
        time_s, self.problem = clock(), ""
        if self._earlier is not None:
            seconds = max(time_s - self._earlier[0], 1e-3)
            self._samples.append(compare_totals(self._earlier[1], totals, time_s, seconds))
            self.last_s = time_s
        self._earlier = time_s, totals
