"""Rates of the console from two readings of Prometheus metrics."""

import math
from unittest import mock

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest, values

from console import live_metrics
from console.live_metrics import (
    ANSWERS,
    CLIENT_ERRORS,
    ERRORS,
    MetricsSampler,
    Sample,
    Totals,
    compare_totals,
    histogram_quantile,
    read_totals,
)
from serving.observability.metrics import Metrics


@pytest.fixture(autouse=True)
def separate_counts(monkeypatch):
    """Each registry counts for itself; after a test of the server in this process, registries share their counts."""
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)


def page(metrics_of):
    """Page of metrics that the recommender has after `metrics_of` has used them."""
    registry = CollectorRegistry()
    metrics_of(Metrics(registry))
    return generate_latest(registry).decode()


def answer(metrics, count=1, seconds=0.02):
    for _ in range(count):
        metrics.requests.labels("daily", "answered", "one").inc()
        metrics.request_seconds.labels("daily", "one").observe(seconds)


def test_metrics_of_the_recommender_are_read_and_rejected_requests_of_clients_are_no_errors():
    def use(metrics):
        answer(metrics, 6)
        for outcome in (*CLIENT_ERRORS, "ReleaseError", "NotReady"):
            metrics.requests.labels("", outcome, "one").inc()
        metrics.rejected.labels("queue_full", "/recommend").inc(2)
        metrics.skipped.labels("realtime", "late").inc(4)
        metrics.skipped.labels("realtime", "failed").inc()

    totals = read_totals(page(use))
    assert (totals[ANSWERS], totals[ERRORS], totals["skipped", "realtime"]) == (6 + len(CLIENT_ERRORS), 4, 5)
    assert [totals["request", bound] for bound in ("0.01", "0.025", "+Inf")] == [0, 6, 6]


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        pytest.param(
            {ANSWERS: 10, ERRORS: 1, ("request", "0.1"): 4, ("request", "0.2"): 10},
            {ANSWERS: 18, ERRORS: 3, ("request", "0.1"): 8, ("request", "0.2"): 18},
            Sample(105.0, 2.0, pytest.approx(190.0), 0.2, 10),
            id="only what happened between two readings",
        ),
        pytest.param(
            {ANSWERS: 10, ("skipped", "ranker"): 2, ("skipped", "realtime"): 2},
            {ANSWERS: 20, ("skipped", "ranker"): 2, ("skipped", "realtime"): 6},
            Sample(105.0, 2.0, None, 0, 10, {"realtime": 4}),
            id="answers without a channel",
        ),
        pytest.param({ANSWERS: 20}, {ANSWERS: 10}, Sample(105.0, 2.0, None, 0, 10), id="a restart starts at zero"),
        pytest.param({ANSWERS: 10}, {ANSWERS: 10}, Sample(105.0, 0, None, None), id="an idle recommender"),
    ],
)
def test_rates_between_two_readings(earlier, later, expected):
    assert compare_totals(Totals(earlier), Totals(later), 105.0, 5.0) == expected


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


def test_a_recommender_that_does_not_answer_leaves_a_gap(here, monkeypatch):
    once, more = page(answer), page(lambda metrics: answer(metrics, 3))
    request = httpx.Request("GET", f"{here.service_url('recommender')}/metrics")
    pages = [once, more, httpx.ConnectError("away"), once, "no metrics {", once, once]
    answers = [httpx.Response(200, text=one, request=request) if isinstance(one, str) else one for one in pages]
    monkeypatch.setattr(live_metrics.httpx, "get", mock.Mock(side_effect=answers))
    sampler, problems = MetricsSampler(here), []
    for number in range(len(pages)):
        sampler.sample(lambda number=number: 10 + 2 * number)
        problems.append(sampler.problem)
    assert [sample["requests_per_s"] for sample in sampler.samples()] == [1.0, 0.0]
    assert [bool(problem) for problem in problems] == [False, False, True, False, True, False, False]
    assert "/metrics cannot be read" in problems[2] and "ConnectError: away" in problems[2]
