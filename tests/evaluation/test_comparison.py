"""Overlap, unique hits and history lengths by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.conftest import Case, recall_cases
from training.evaluation import comparison


def test_overlap_is_a_share_of_the_row() -> None:
    lists = {"one": np.array([[2, 3, 4, 5], [9, 0, 0, 0]]), "other": np.array([[3, 7, 0, 0], [9, 8, 7, 6]])}
    found = comparison.overlap(lists)
    assert found["one"] == {"one": 1.0, "other": pytest.approx(2 / 5)}
    assert found["other"]["one"] == pytest.approx(2 / 6)


def test_the_same_item_of_another_case_does_not_overlap() -> None:
    found = comparison.overlap({"one": np.array([[2], [3]]), "other": np.array([[3], [2]])})
    assert found["one"]["other"] == 0


def test_unique_hits() -> None:
    cases = recall_cases([Case("a", [2, 3, 4], [], []), Case("b", [9], [], [])])
    found = comparison.unique_hits({"one": np.array([[2, 3], [0, 0]]), "other": np.array([[3, 50], [9, 0]])}, cases)
    assert found["one"] == {"share": pytest.approx(2 / 3), "unique": pytest.approx(1 / 3)}
    assert found["other"] == {"share": pytest.approx(2 / 3), "unique": pytest.approx(1 / 3)}


def test_by_history_groups_cases_by_earlier_plays() -> None:
    cases = recall_cases([Case("a", [2], [], [], play_number=n) for n in (3, 99, 100, 30_000)])
    found = comparison.by_history(np.array([0.2, 0.4, 0.6, 0.9]), cases)
    assert {name: one[0] for name, one in found.items()} == pytest.approx({"0-99": 0.3, "100-999": 0.6, "20000+": 0.9})
