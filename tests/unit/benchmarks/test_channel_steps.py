"""The benchmarks of training channels run on a few short sequences; their results are not checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARK_OF_FIGURE, BENCHMARKS
from benchmarks.result import Result
from benchmarks.training import channel_steps


def test_both_sides_count_the_same_units() -> None:
    """16 positions per history in Segue; all 64 in SASRec, one in MIND."""
    sequences = Result.from_values("train_self_attention", "sequences/s", 200, "SASRec", 100)
    targets = Result.from_values("train_multi_interest", "targets/s", 1600, "MIND", 50)
    expected = {
        "train_self_attention_histories_per_s": (200, 100),
        "train_self_attention_positions_per_s": (3200, 6400),
        "train_multi_interest_histories_per_s": (100, 50),
        "train_multi_interest_positions_per_s": (1600, 50),
    }
    results = [
        *channel_steps.rates_by_unit("self_attention", sequences),
        *channel_steps.rates_by_unit("multi_interest", targets),
    ]
    assert {result.name: (result.value, result.peer_value) for result in results} == expected
    assert {BENCHMARK_OF_FIGURE[name] for name in expected} == {"train_self_attention", "train_multi_interest"}


@pytest.mark.parametrize("name", channel_steps.PEERS)
def test_training_rate_is_positive(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, value in {"TRACKS": 30, "LENGTH": 8, "BATCH": 6, "TARGETS": 3, "BATCHES": 2}.items():
        monkeypatch.setattr(channel_steps, number, value)
    channel_steps.write_sequences(tmp_path)
    assert min(channel_steps.examples_per_second(name, tmp_path, 2)) > 0
    assert f"train_{name}" in BENCHMARKS
