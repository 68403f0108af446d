"""Rates of the console from two readings of Prometheus metrics."""

import math

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from console import live_metrics
from console.live_metrics import (
    ANSWERS,
    ERRORS,
    MetricsSampler,
    Sample,
    Totals,
    compare_totals,
    histogram_quantile,
    read_totals,
)
from serving.observability.metrics import Metrics


def page(metrics_of):
    """Page of metrics that the recommender has after `metrics_of` has used them."""
    registry = CollectorRegistry()
    metrics_of(Metrics(registry))
    return generate_latest(registry).decode()


def answer(metrics, count=1, seconds=0.02):
    for _ in range(count):
        metrics.requests.labels("daily", "answered", "one").inc()
        metrics.request_seconds.labels("daily", "one").observe(seconds)


def test_the_metrics_of_the_recommender_are_read():
    def used(metrics):
        answer(metrics, 3)
        metrics.requests.labels("", "ReleaseError", "one").inc()
        metrics.rejected.labels("queue_full", "/recommend").inc(2)

    totals = read_totals(page(used))
    assert (totals[ANSWERS], totals[ERRORS]) == (3, 3)
    assert [totals["request", bound] for bound in ("0.01", "0.025", "+Inf")] == [0, 3, 3]


def test_rejected_requests_of_clients_are_no_errors():
    def used(metrics):
        answer(metrics, 6)
        for outcome in ("RequestRejected", "UnknownTrack", "NoCollections", "NoItemVectors", "ReleaseError"):
            metrics.requests.labels("", outcome, "one").inc()
        metrics.requests.labels("", "NotReady", "one").inc()

    sample = compare_totals(Totals(), read_totals(page(used)), 5.0, 5.0)
    assert (sample.requests, sample.error_share) == (12, 2 / 12)


def test_answers_without_a_channel_are_counted_by_channel():
    def used(metrics, late):
        answer(metrics, 10)
        metrics.skipped.labels("ranker", "failed").inc(2)
        metrics.skipped.labels("realtime", "late").inc(late)
        metrics.skipped.labels("realtime", "failed").inc()

    earlier, later = (read_totals(page(lambda metrics, late=late: used(metrics, late))) for late in (1, 5))
    assert (later["skipped", "ranker"], later["skipped", "realtime"]) == (2, 6)
    sample = compare_totals(earlier, later, 5.0, 4.0)
    assert (sample.requests, sample.skipped) == (0, {"realtime": 4})


def test_rates_count_only_what_happened_between_two_readings():
    earlier = Totals({ANSWERS: 10, ERRORS: 1, ("request", "0.1"): 4, ("request", "0.2"): 10})
    later = Totals({ANSWERS: 18, ERRORS: 3, ("request", "0.1"): 8, ("request", "0.2"): 18})
    sample = compare_totals(earlier, later, 105.0, 5.0)
    assert sample == Sample(105.0, 2.0, pytest.approx(190.0), 0.2, 10)


def test_a_restart_starts_at_zero_and_an_idle_recommender_has_no_latency():
    restarted = compare_totals(Totals({ANSWERS: 10}), Totals({ANSWERS: 4, ("request", "0.1"): 4}), 102.0, 2.0)
    assert restarted.requests_per_s == 2
    idle = compare_totals(Totals({ANSWERS: 10}), Totals({ANSWERS: 10}), 105.0, 5.0)
    assert (idle.requests_per_s, idle.p95_ms, idle.error_share) == (0, None, None)


@pytest.mark.parametrize(
    ("buckets", "quantile", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0, math.inf: 0}, 0.5, None),
        ({1.0: 10, math.inf: 10}, 0.5, 0.5),
        ({1.0: 5, 2.0: 10, math.inf: 10}, 0.75, 1.5),
        ({1.0: 5, math.inf: 10}, 0.9, 1.0),  # as Prometheus: the upper bound of the last finite bucket
    ],
)
def test_quantiles_of_a_histogram(buckets, quantile, expected):
    assert histogram_quantile(buckets, quantile) == expected


@pytest.fixture
def read(monkeypatch):
    """Reads pages of metrics one after another, of services by name; None: no answer. Returns the sampler and its problems."""

    def sample(settings, **pages_of):
        def get(url, timeout):
            text = next(pages for name, pages in pages_of.items() if url.startswith(settings.service_url(name))).pop(0)
            if text is None:
                raise httpx.ConnectError("away")
            return httpx.Response(200, text=text, request=httpx.Request("GET", url))

        monkeypatch.setattr(live_metrics.httpx, "get", get)
        sampler, times, problems = MetricsSampler(settings), iter(range(10, 100, 2)), []
        while pages_of["recommender"]:
            sampler.sample(lambda: next(times))
            problems.append(sampler.problem)
        return sampler, problems

    return sample


def test_a_recommender_that_does_not_answer_leaves_a_gap(here, read):
    once, more = page(answer), page(lambda metrics: answer(metrics, 3))
    sampler, problems = read(here, recommender=[once, more, None, once, "no metrics {", once, once])
    assert [sample["requests_per_s"] for sample in sampler.samples()] == [1.0, 0.0]
    assert [bool(problem) for problem in problems] == [False, False, True, False, True, False, False]
    assert "/metrics cannot be read" in problems[2] and "ConnectError: away" in problems[2]
