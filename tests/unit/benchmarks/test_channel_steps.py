"""The benchmarks of training channels run on a few short sequences; their results are not checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.training import channel_steps


@pytest.mark.parametrize("name", channel_steps.PEERS)
def test_training_rate_is_positive(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, value in {"TRACKS": 30, "LENGTH": 8, "BATCH": 6, "TARGETS": 3, "BATCHES": 2}.items():
        monkeypatch.setattr(channel_steps, number, value)
    channel_steps.write_sequences(tmp_path)
    assert min(channel_steps.examples_per_second(name, tmp_path, 2)) > 0
    assert f"train_{name}" in BENCHMARKS
