"""Benchmarks at small sizes; their values mean little."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from research import bench, training_rates
from research.serving import ranking_latency, recall_latency
from research.serving.profile_requests import Samples, format_report
from training.recall.registry import CHANNELS


def test_results_that_are_kept_keep_their_revision_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"name": "pit_join", "value": 34.0, "machine": "old machine", "revision": "old"}
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    (tmp_path / "reports").mkdir()
    file = tmp_path / "reports" / "benchmark.json"
    file.write_text(json.dumps({"machine": "old machine", "revision": "old", "results": [kept]}))
    measured = bench.Result("land_events", 7.0, "rows/s")
    monkeypatch.setitem(bench.BENCHMARKS, "land_events", (lambda rows: measured, 7))
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "land_events"])
    bench.main()
    first, second = json.loads(file.read_text())["results"]
    assert first == kept and (second["name"], second["value"]) == ("land_events", 7.0)


def test_a_name_selects_a_benchmark_by_name_result_or_prefix() -> None:
    assert bench.select_benchmarks(None) == list(bench.BENCHMARKS)
    assert bench.select_benchmarks("pit_join") == bench.select_benchmarks("pit_join_memory") == ["pit_join"]
    assert bench.select_benchmarks("rank") == [name for name in bench.BENCHMARKS if name.startswith("rank_")] != []


def test_recall_of_a_request_by_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_latency, "USERS", 2)
    results = {result.name: result.value for result in recall_latency.run("recall", "debug", 10.0)(3_000)}
    assert 0 < results["recall_floor"] < results["recall_processor"]
    assert all(results[f"recall_{name}"] > 0 for name in CHANNELS)


def test_ranking_of_a_request() -> None:
    results = {result.name: result.value for result in ranking_latency.run("target_attention", 2)}
    assert 0 < results["rank_target_attention_floor"] <= results["rank_target_attention_core"]


@pytest.mark.parametrize("name", ["self_attention", "multi_interest", "target_attention"])
def test_training_rate(name: str) -> None:
    clock, core = training_rates.measure(name, 1)
    assert clock > 0 and core > 0


def test_profile_has_both_shares_of_each_row() -> None:
    raw = ["work (serving/a.py:1);linear (torch/nn/functional.py:9) 6", "rank (serving/pipeline/rank.py:33) 2"]
    report = format_report(56.04, {"running": Samples.parse(raw), "lock": Samples.parse(raw[1:])})
    assert "56.0 ms of processor time per request" in report and "| `torch` | 75.0% | 0.0% |" in report
