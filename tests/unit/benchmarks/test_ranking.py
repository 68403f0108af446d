"""The benchmarks of rankers run, on a few small requests; what they find is no matter here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, RANKERS
from benchmarks.serving import ranking_latency
from benchmarks.training import ranker_steps


def test_every_ranker_of_the_table_has_both() -> None:
    assert {f"{kind}_{name}" for name in RANKERS for kind in ("rank", "train")} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", RANKERS)
def test_a_request_is_measured_beside_the_same_one_step_by_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_latency, "CANDIDATES", 7)
    monkeypatch.setattr(ranking_latency, "EVENTS", 6)
    by_clock, of_core = ranking_latency.run(name, 2)
    assert (by_clock.name, of_core.name) == (f"rank_{name}", f"rank_{name}_core")
    assert min(by_clock.value, of_core.value) > 0 and by_clock.unit == of_core.unit == "ms"
    assert by_clock.peer == of_core.peer == ("step by step" if name == "interest_evolution" else "limit")


@pytest.mark.parametrize("name", RANKERS)
def test_steps_are_counted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ranker_steps, "BATCH", 12)
    monkeypatch.setattr(ranker_steps, "EVENTS", 6)
    ranker_steps.write_cases(tmp_path)
    assert min(ranker_steps.cases_per_second(name, tmp_path, 2)) > 0
