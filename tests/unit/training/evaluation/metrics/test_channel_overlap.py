"""Overlap, unique hits and recall by history and scene, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training.recall_cases import Case, recall_cases
from training.evaluation.metrics import list_comparison


def test_overlap_is_relative_to_the_first_list() -> None:
    lists = {"one": np.array([[2, 3, 4, 5], [9, 0, 0, 0]]), "other": np.array([[3, 7, 0, 0], [9, 8, 7, 6]])}
    found = list_comparison.overlap(lists)
    assert found["one"] == {"one": 1.0, "other": pytest.approx(2 / 5)}
    assert found["other"]["one"] == pytest.approx(2 / 6)


def test_unique_hits() -> None:
    cases = recall_cases([Case("a", [2, 3, 4], [], []), Case("b", [9], [], [])])
    found = list_comparison.unique_hits(
        {"one": np.array([[2, 3], [0, 0]]), "other": np.array([[3, 50], [9, 0]])}, cases
    )
    expected = pytest.approx({"share": 2 / 3, "unique": 1 / 3})
    assert found == {"one": expected, "other": expected}


def test_by_history_groups_cases_by_earlier_plays() -> None:
    cases = recall_cases([Case("a", [2], [], [], play_number=n) for n in (3, 99, 100, 30_000)])
    found = list_comparison.recall_by_history(np.array([0.2, 0.4, 0.6, 0.9]), cases)
    assert {name: interval[0] for name, interval in found.items()} == pytest.approx(
        {"0-99": 0.3, "100-999": 0.6, "20000+": 0.9}
    )


def test_recall_by_scene_and_difference_from_one_fusion() -> None:
    cases = recall_cases(
        [Case("a", [2, 3], [], []), Case("b", [4], [5], [5]), Case("b", [6], [], []), Case("a", [7], [], [])]
    )
    cases.scenes[:] = ["daily", "daily", "mlog", None]
    found = list_comparison.recall_by_scene(
        np.array([[2, 3], [5, 9], [6, 0], [0, 0]]), np.array([[3, 9], [4, 9], [6, 0], [7, 0]]), cases
    )
    assert {scene: row["sessions"] for scene, row in found.items()} == {"daily": 2, "mlog": 1}
    # Own list: both targets of a and the discovery of b. Overall list: one target of a and the repeat of b.
    daily = {
        name: [found["daily"][part][name][0] for part in ("found", "difference")] for name in found["daily"]["found"]
    }
    assert (daily["recall_at_50/all"], daily["recall_at_200/reachable"]) == ([0.75, 0.25], [1.0, 1.0])
    assert found["mlog"]["difference"]["recall_at_200/all"] == [0.0, 0.0, 0.0]
