"""Metrics of playlist continuation, by hand."""

import numpy as np
import pytest

from training.data.ragged import Ragged
from training.evaluation.metrics.continuation_metrics import MAX_CLICKS, measure


def lists(*rows, width=30):
    items_CK = np.zeros((len(rows), width), dtype=np.int64)
    for row, items in enumerate(rows):
        items_CK[row, : len(items)] = items
    return items_CK


def test_values_by_hand():
    targets = Ragged(np.array([5, 6, 7, 5, 9]), np.array([0, 3, 4, 5]))
    others = list(range(100, 112))
    values = measure(lists([5, 100, 6, 7], [*others, 5], others), targets)
    # Two of the first three; none of the first one; none.
    assert values["r_precision"].tolist() == pytest.approx([2 / 3, 0, 0])
    gain = {place: 1 / np.log2(place + 2) for place in range(13)}
    assert values["ndcg"].tolist() == pytest.approx(
        [(gain[0] + gain[2] + gain[3]) / (gain[0] + gain[1] + gain[2]), gain[12], 0]
    )
    assert values["clicks"].tolist() == [0, 1, MAX_CLICKS]


def test_perfect_list_is_the_best():
    targets = Ragged(np.arange(10, 30), np.array([0, 20]))
    values = measure(lists(range(10, 30)), targets)
    assert [float(values[name][0]) for name in ("r_precision", "ndcg", "clicks")] == pytest.approx([1, 1, 0])
