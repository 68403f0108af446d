"""Verdicts: the baseline of the gate, directions of metrics, tiles, comparison of two releases."""

from __future__ import annotations

import polars as pl
import pytest

from tests.support.training.evaluation_content import evaluation, interval
from training.evaluation.report.release_comparison import compare_metrics
from training.evaluation.report.verdicts import Gate, build_tiles, difference_class, gate_baseline
from training.release.gate import judge


def test_the_named_baseline_is_the_one_of_the_release_gate() -> None:
    values = {name: row["recall_at_30"]["all"][0] for name, row in evaluation()["slate"].items()}

    def requests(name: str) -> pl.DataFrame:
        users = [f"user {number}" for number in range(20)]
        columns = {"user_id": users, "request_at": 0, "targets": "t", "recall_at_30": values[name]}
        return pl.DataFrame(columns)

    verdict = judge(requests("served"), {name: requests(name) for name in ("most_played", "up_cf")}, None)
    baseline = gate_baseline(evaluation())
    assert f"slate - {baseline}" in verdict.figures
    assert baseline == "up_cf" != evaluation()["best_memory"]


@pytest.mark.parametrize(
    ("difference", "metric", "expected"),
    [
        ([0.02, 0.01, 0.03], "recall_at_30", "gain"),
        ([-0.02, -0.03, -0.01], "recall_at_30", "loss"),
        ([0.02, 0.01, 0.03], "not_skipped/logloss", "loss"),
        ([-0.02, -0.03, -0.01], "ece", "gain"),
        ([0.02, -0.01, 0.03], "recall_at_30", "unclear"),
        ([0.02, None, None], "recall_at_30", "unclear"),
        (None, "recall_at_30", "unclear"),
    ],
)
def test_colors_follow_the_better_direction(difference: list[float | None] | None, metric: str, expected: str) -> None:
    assert difference_class(difference, metric) == expected


@pytest.mark.parametrize(
    ("gate", "text", "kind"),
    [
        (Gate(True, ("passes: a",), {}), "passed", "gain"),
        (Gate(False, ("passes: a", "FAILS: b"), {}), "rejected", "loss"),
        (Gate(False, ("FAILS: b",), {}, forced="a hotfix"), "overridden", "loss"),
    ],
)
def test_the_first_tile_is_the_decision_of_the_gate(gate: Gate, text: str, kind: str) -> None:
    tile = build_tiles(evaluation(), gate)[0]
    assert (tile.text, tile.kind) == (text, kind)
    assert tile.detail in ("no worse than up_cf", "FAILS: b", "a hotfix")


def test_releases_are_compared_metric_by_metric() -> None:
    def manifest(recall: float, log_loss: float) -> dict:
        ranking = {"sum_pooling": {"not_skipped": {"gauc": interval(0.7), "logloss": interval(log_loss)}}}
        slate = {"served": {"recall_at_30": {"all": interval(recall)}}}
        return {"ranker": "sum_pooling", "metrics": {"slate": slate, "ranking": ranking}}

    rows = {row.name: row for row in compare_metrics(manifest(0.3, 0.5), manifest(0.2, 0.4))}
    assert rows["served list: recall@30"].kind == "gain"
    assert rows["ranker: not skipped, log loss"].kind == "loss"
    assert rows["ranker: not skipped, GAUC"].kind == "unclear"
    assert set(rows) == {"served list: recall@30", "ranker: not skipped, GAUC", "ranker: not skipped, log loss"}
    (first, *_) = compare_metrics(manifest(0.3, 0.5), manifest(0.29, 0.5), [0.01, 0.005, 0.015])
    assert (first.name, first.kind) == ("served list: recall@30, paired", "gain")
