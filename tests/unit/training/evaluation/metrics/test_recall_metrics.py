"""Recall, NDCG and coverage against values by hand and the reference implementation."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from tests.support.training import reference_metrics
from tests.support.training.recall_cases import Case, recall_cases
from training.data.recall_cases import RecallCases
from training.evaluation.metrics import recall_metrics


@pytest.fixture
def three_cases() -> RecallCases:
    """User a has two sessions, user b one; track 9 is not in the catalog."""
    return recall_cases(
        [
            Case("a", repeat=[2, 3], discovery=[4, 9], reachable=[4]),
            Case("a", repeat=[5], discovery=[], reachable=[]),
            Case("b", repeat=[], discovery=[6], reachable=[6]),
        ]
    )


ITEMS = np.array([[3, 7, 4], [8, 5, 0], [0, 0, 0]])


def test_recall_by_hand(three_cases: RecallCases) -> None:
    found = recall_metrics.measure_by_case(ITEMS, three_cases, ["recall_at_1", "recall_at_3"])
    assert found["recall_at_1"]["all"] == pytest.approx([1 / 4, 0, 0])
    assert {part: values.tolist() for part, values in found["recall_at_3"].items()} == {
        "all": [2 / 4, 1, 0],
        "repeat": pytest.approx([1 / 2, 1, np.nan], nan_ok=True),
        "discovery": pytest.approx([1 / 2, np.nan, 0], nan_ok=True),
        "reachable": pytest.approx([1, np.nan, 0], nan_ok=True),
    }
    measured = recall_metrics.measure(ITEMS, three_cases, ["recall_at_3"])["recall_at_3"]
    assert {part: estimate.value for part, estimate in measured.items()} == pytest.approx(
        {"all": (0.75 + 0) / 2, "repeat": 0.75, "discovery": (0.5 + 0) / 2, "reachable": (1 + 0) / 2}
    ), "means over users"


def test_ndcg_by_hand(three_cases: RecallCases) -> None:
    found = recall_metrics.measure_by_case(ITEMS, three_cases, ["ndcg_at_10"])["ndcg_at_10"]
    best_of_four = 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    assert found["all"] == pytest.approx([(1 + 1 / log2(4)) / best_of_four, 1 / log2(3), 0])


@pytest.mark.parametrize("users", [1, 2, 9])
def test_few_users_resample_sessions(users: int) -> None:
    random = np.random.default_rng(users)
    user_C = np.sort(random.integers(users, size=60))
    values_C = np.where(random.random(60) < 0.2, np.nan, random.random(60))
    kept = ~np.isnan(values_C)
    weights = 1 / np.bincount(user_C[kept])[user_C[kept]]
    value, low, high = recall_metrics.mean_over_users(values_C, user_C).interval()
    assert [value, low, high] == pytest.approx(reference_metrics.interval(values_C[kept], weights))

    assert low < value - 0.01 and value + 0.01 < high


def test_many_users_resample_users() -> None:
    values_C, user_C = np.tile(np.arange(10) / 10, 50), np.tile(np.arange(10), 50)
    assert recall_metrics.mean_over_users(values_C, user_C).interval() == pytest.approx(
        reference_metrics.interval(np.arange(10) / 10, np.ones(10))
    )


def test_coverage_counts_each_catalog_track_once() -> None:
    catalog = np.zeros(12, dtype=bool)
    catalog[[3, 4, 5, 10]] = True
    assert recall_metrics.coverage(ITEMS, catalog) == pytest.approx(3 / 4)
