"""Verdicts: the baseline of the gate, directions of metrics, sentences, comparison of two releases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import polars as pl
import pytest

from tests.support.training.evaluation_content import evaluation, interval
from training.evaluation.report.page import render_page
from training.evaluation.report.release_comparison import compare_metrics, describe_changes
from training.evaluation.report.verdicts import difference_class, gate_baseline
from training.release.gate import judge


def sentences(content: dict, gate: Any) -> dict[str, tuple[str, str]]:
    """Id → CSS class and text of each sentence at the top of the page."""
    part = render_page(content, gate).partition('<ol class="sentences">')[2].partition("</ol>")[0]
    found = re.findall(r'<li id="(\w+)" class="(\w+)">(.*?)</li>', part, re.DOTALL)
    return {key: (kind, text.replace("\n", " ")) for key, kind, text in found}


def test_the_named_baseline_is_the_one_of_the_release_gate() -> None:
    users = pl.DataFrame({"user_id": [f"user {number}" for number in range(20)]})
    slates = {
        name: users.with_columns(request_at=pl.lit(0), targets=pl.lit("t"), recall_at_30=row["recall_at_30"]["all"][0])
        for name, row in evaluation()["slate"].items()
    }
    verdict = judge(slates.pop("served"), {name: slates[name] for name in ("most_played", "up_cf")}, None)
    assert gate_baseline(evaluation()) == "up_cf" != evaluation()["best_memory"]
    assert "slate - up_cf" in verdict.figures


@pytest.mark.parametrize(
    ("difference", "metric", "expected"),
    [
        ([0.02, 0.01, 0.03], "recall_at_30", "gain"),
        ([-0.02, -0.03, -0.01], "recall_at_30", "loss"),
        ([0.02, 0.01, 0.03], "not_skipped/logloss", "loss"),
        ([-0.02, -0.03, -0.01], "ece", "gain"),
        ([0.02, 0.01, 0.03], "skip_rate", "loss"),
        ([0.02, -0.01, 0.03], "recall_at_30", "unclear"),
        ([0.02, None, None], "recall_at_30", "unclear"),
        (None, "recall_at_30", "unclear"),
    ],
)
def test_colors_follow_the_better_direction(difference: list[float | None] | None, metric: str, expected: str) -> None:
    assert difference_class(difference, metric) == expected


def gate(
    is_passed: bool, reasons: Sequence[str], figures: Any = MappingProxyType({}), forced: str = "", previous: str = ""
) -> dict[str, Any]:
    return {"is_passed": is_passed, "reasons": reasons, "figures": figures, "forced": forced, "previous": previous}


@pytest.mark.parametrize(
    ("decision", "kind", "names"),
    [
        (None, "unclear", ""),
        (gate(True, ("passes: a",), previous="release7"), "gain", "release7"),
        (gate(True, (), {"slate - production": [0.02, 0.01, 0.03]}, previous="r"), "gain", "2.0 more (1.0 to 3.0)"),
        (gate(False, ("passes: a", "FAILS: slate recall_at_30 b")), "loss", "slate recall@30 b"),
        (gate(False, ("FAILS: b",), forced="a hotfix"), "loss", "a hotfix"),
    ],
)
def test_the_first_sentence_is_the_decision_of_the_gate(decision: Any, kind: str, names: str) -> None:
    found, text = sentences(evaluation(), decision)["decision"]
    assert found == kind and names in text


def test_sentences_count_songs_of_100_with_intervals() -> None:
    content = evaluation() | {"by_history": {"fused": {"0-99": [0.2, 0.1, 0.3], "100-999": [0.5, 0.4, 0.6]}}}
    content["differences"]["served - fused"] = {"recall_at_30": [-0.01, -0.03, 0.01]}
    content["slate"]["served"]["recall_at_30"] |= {"discovery": [0.05, 0.04, 0.06]}
    found = sentences(content, None)
    expected = {
        "decision": ("unclear", ()),
        "found": ("unclear", ("31 (30 to 32)", "40 (39 to 41)")),
        "rule": ("gain", ("2.0 more (1.0 to 3.0)", "up_cf")),
        "ranker": ("unclear", ("1.0 fewer (3.0 fewer to 1.0 more)", "sum_pooling")),
        "weakness": ("loss", ("5.0 (4.0 to 6.0)", "31 (30 to 32)", "0-99")),
    }
    assert {key: kind for key, (kind, _) in found.items()} == {key: kind for key, (kind, _) in expected.items()}
    assert [part for key, (_, parts) in expected.items() for part in parts if part not in found[key][1]] == []


def test_releases_are_compared_metric_by_metric() -> None:
    def manifest(recall: float, log_loss: float) -> dict:
        metrics = {
            "slate": {"served": {"recall_at_30": {"all": interval(recall)}}},
            "ranking": {"sum_pooling": {"not_skipped": {"gauc": interval(0.7), "logloss": interval(log_loss)}}},
        }
        return {"ranker": "sum_pooling", "metrics": metrics}

    assert {row.name: row.kind for row in compare_metrics(manifest(0.3, 0.5), manifest(0.2, 0.4))} == {
        "served list: recall@30": "gain",
        "ranker: not skipped, GAUC": "unclear",
        "ranker: not skipped, log loss": "loss",
    }
    gate = {"compared_with": "older", "figures": {"slate - production": [0.01, 0.005, 0.015]}}
    newer, older = manifest(0.3, 0.5) | {"gate": gate}, manifest(0.29, 0.5) | {"release": "older", "ranker": "none"}
    assert compare_metrics(newer, older)[0].kind == "gain"
    assert "1.0 more (0.5 to 1.5)" in describe_changes(newer, older)[0]
    assert "1.0 fewer (0.5 to 1.5)" in describe_changes(older, newer)[0]
