"""Overlap, unique hits and history lengths by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.conftest import Case, recall_cases
from training.data import Ragged
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


def test_by_facet_is_the_recall_of_the_targets_that_have_a_value() -> None:
    """Items 2 and 3 are Cantonese, 3 and 4 English, 5 neither; nobody listened to anything French."""
    cases = recall_cases([Case("a", [2, 3, 5], [], []), Case("a", [4], [], []), Case("b", [3], [], [])])
    language = Ragged(np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 3, 4, 4, 5]))
    nothing = Ragged(np.zeros(0, dtype=np.int64), np.zeros(8, dtype=np.int64))
    facets = {"languages": (["Cantonese", "English", "French"], language), "styles": ([], nothing)}
    found = comparison.ByFacet(cases, facets).of(np.array([[2, 5, 0], [3, 4, 6], [5, 2, 0]]))
    # Cantonese: a found 1 of 2 in one case, b none; English: a none and 1 of 1, b none.
    assert {name: one[0] for name, one in found.items()} == {"languages: Cantonese": 0.25, "languages: English": 0.25}
    assert comparison.ByFacet(cases, {"styles": ([], nothing)}).of(np.array([[2], [3], [4]])) == {}
