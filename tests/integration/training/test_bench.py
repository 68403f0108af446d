"""Benchmarks at small sizes; their values mean little."""

from __future__ import annotations

import pytest

from recommender.recall.registry import CHANNELS
from research import training_rates
from research.serving import ranking_latency, recall_latency


def test_recall_of_a_request_by_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_latency, "USERS", 2)
    results = {result.name: result.value for result in recall_latency.run("recall", "debug", 10.0)(3_000)}
    assert 0 < results["recall_floor"] < results["recall_processor"]
    assert all(results[f"recall_{name}"] > 0 for name in CHANNELS)


def test_ranking_of_a_request() -> None:
    results = {result.name: result.value for result in ranking_latency.run("target_attention", 2)}
    assert 0 < results["rank_target_attention_floor"] <= results["rank_target_attention_core"]


def test_training_rate() -> None:
    clock, core = training_rates.measure("target_attention", 1)
    assert clock > 0 and core > 0
