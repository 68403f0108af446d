"""The tables over seeds."""

from __future__ import annotations

from typing import Any

from research.seeds import render


def content(recall: float, difference: list[float]) -> dict[str, Any]:
    metrics = {"recall_at_200": {"all": [recall, recall - 0.1, recall + 0.1], "repeat": [None, None, None]}}
    return {
        "chosen": {"ranker": "sum_pooling", "fusion": {"shares": {"": 0.25, "daily": 0.3}}},
        "recall": {"fused": metrics},
        "share_curve": {"0.25": metrics},
        "slate": {"served": {"recall_at_30": {"all": [recall, 0, 1]}}},
        "ranking": {"sum_pooling": {"not_skipped": {"auc": [recall, 0, 1]}}},
        "differences": {"fused - popularity": {"recall_at_200": difference, "recall_at_200/repeat": difference}},
    }


def test_tables_have_the_mean_over_seeds_and_the_difference_of_each() -> None:
    first, second = content(0.5, [0.01, 0.005, 0.015]), content(0.6, [-0.01, -0.02, 0.0])
    second["recall"]["other"] = second["recall"]["fused"]
    page = render([first, second], "small").splitlines()
    assert "# 2 seeds, recipe `small`, test part" in page
    assert "| share of discoveries | other scenes 0.25, daily 0.3 | other scenes 0.25, daily 0.3 |" in page
    assert "| list | recall@50 | recall@200 | recall@200 repeat | recall@200 reachable |" in page
    assert "| fused | – | 0.5500 ± 0.0707 | – | – |" in page
    assert "| 0.25 | – | 0.5500 ± 0.0707 | – | – |" in page
    assert "| served | 0.5500 ± 0.0707 | – | – |" in page
    assert "| sum_pooling | 0.5500 ± 0.0707 | – | – | – |" in page
    difference = "| +0.0100 (+0.0050 to +0.0150) | -0.0100 (-0.0200 to +0.0000) |"
    assert [line for line in page if "fused - popularity" in line] == [
        f"| fused - popularity | recall@200 {difference}"
    ]
    assert not [line for line in page if line.startswith("| other ")], "one seed lacks it"
