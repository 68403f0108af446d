"""Overlap and unique hits, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training.recall_cases import Case, recall_cases
from training.evaluation.metrics import channel_overlap


def test_overlap_is_relative_to_the_first_list() -> None:
    lists = {"one": np.array([[2, 3, 4, 5], [9, 0, 0, 0]]), "other": np.array([[3, 7, 0, 0], [9, 8, 7, 6]])}
    found = channel_overlap.overlap(lists)
    assert found["one"] == {"one": 1.0, "other": pytest.approx(2 / 5)}
    assert found["other"]["one"] == pytest.approx(2 / 6)


def test_unique_hits() -> None:
    cases = recall_cases([Case("a", [2, 3, 4], [], []), Case("b", [9], [], [])])
    found = channel_overlap.unique_hits(
        {"one": np.array([[2, 3], [0, 0]]), "other": np.array([[3, 50], [9, 0]])}, cases
    )
    assert found["one"] == {"share": pytest.approx(2 / 3), "unique": pytest.approx(1 / 3)}
    assert found["other"] == {"share": pytest.approx(2 / 3), "unique": pytest.approx(1 / 3)}
