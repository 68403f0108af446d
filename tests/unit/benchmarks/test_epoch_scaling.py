"""Cost of one pass over a log."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.training import epoch_scaling
from training.data import training_data
from training.recall.realtime.channel import Realtime


def test_processor_time_is_that_of_the_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = SimpleNamespace(reader=lambda _: None, plays=[])
    monkeypatch.setattr(training_data, "TrainingData", lambda *_, **__: data)
    monkeypatch.setattr(Realtime, "fit", lambda *_: None)
    assert time.process_time() > 0.5  # of the imports above
    assert epoch_scaling._measure(tmp_path).processor < 0.3
