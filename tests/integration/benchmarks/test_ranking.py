"""The benchmarks of rankers run on a few small requests; their results are not checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, RANKERS
from benchmarks.serving import ranking_latency
from benchmarks.training import ranker_steps


def test_every_ranker_has_both_benchmarks() -> None:
    assert {f"{kind}_{name}" for name in RANKERS for kind in ("rank", "train")} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", RANKERS)
def test_request_latency_is_compared_with_a_stepwise_recurrence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_latency, "CANDIDATES", 7)
    monkeypatch.setattr(ranking_latency, "EVENTS", 6)
    elapsed, processor, floor, over_floor = ranking_latency.run(name, 2)
    assert (elapsed.name, processor.name) == (f"rank_{name}", f"rank_{name}_core")
    assert min(elapsed.value, processor.value) > 0 and elapsed.unit == processor.unit == "ms"
    assert (floor.name, over_floor.name) == (f"rank_{name}_floor", f"rank_{name}_over_floor") and floor.value > 0
    assert elapsed.peer == processor.peer == ("step by step" if name == "interest_evolution" else "limit")


@pytest.mark.parametrize("name", RANKERS)
def test_training_rate_is_positive(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ranker_steps, "BATCH", 12)
    monkeypatch.setattr(ranker_steps, "EVENTS", 6)
    ranker_steps.write_cases(tmp_path)
    assert min(ranker_steps.cases_per_second(name, tmp_path, 2)) > 0
