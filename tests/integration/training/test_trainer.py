import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from config import settings
from tests.support.waiting import wait_until
from training import trainer

STEPS = 60


class Line(trainer.Objective):
    """Learns y = 3x with dropout, so that steps depend on random numbers."""

    def __init__(self, pause: float = 0.0) -> None:
        torch.manual_seed(0)
        self.network, self.pause = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Dropout(0.1)), pause

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        time.sleep(self.pause)
        return (self.network(batch) - 3 * batch.sum(1, keepdim=True)).square().mean()

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=0.05)
        return optimizer, ConstantLR(optimizer, factor=1.0)


def batch_at(step: int) -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def fit_line(folder: Path, pause: float = 0.0) -> trainer.FitRecord:
    module = Line(pause)
    schedule = trainer.Schedule(STEPS, validate_every=20, patience=10, checkpoint_every=10)
    return trainer.fit(
        *(module, batch_at, schedule, folder),
        validate=lambda: -float((module.network.state_dict()["0.weight"] - 3).square().sum()),
    )


def test_resumed_fit_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = fit_line(tmp_path / "whole")
    code = "from pathlib import Path; from tests.integration.training.test_trainer import fit_line; "
    code += f"fit_line(Path({str(tmp_path / 'cut')!r}), 0.1)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=settings.ROOT, env={**os.environ, "PYTHONPATH": "."})
    last = tmp_path / "cut" / trainer.LAST_CHECKPOINT_FILE
    wait_until(lambda: last.exists() or process.poll() is not None, "a checkpoint", 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists(), "the fit was not interrupted"
    assert not (tmp_path / "cut" / trainer.FIT_RECORD_FILE).exists()
    resumed = fit_line(tmp_path / "cut")
    first, second = (
        load_file(tmp_path / "whole" / trainer.BEST_WEIGHTS_FILE),
        load_file(tmp_path / "cut" / trainer.BEST_WEIGHTS_FILE),
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.steps == whole.steps
    assert [row["value"] for row in resumed.history] == [row["value"] for row in whole.history]


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    values = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    record = trainer.fit(Line(), batch_at, trainer.Schedule(1000, 5, patience=2), tmp_path, lambda: next(values))
    assert (record.steps, record.value) == (10, 3.0)
    assert len(record.history) == 4


def test_resumed_fit_that_had_stopped_early_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 0.5, 2.0])
    schedule = trainer.Schedule(6, validate_every=2, patience=1, checkpoint_every=2)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer, "write_json", Mock(side_effect=KeyboardInterrupt))
        trainer.fit(Line(), batch_at, schedule, tmp_path, lambda: next(values))
    record = trainer.fit(Line(), batch_at, schedule, tmp_path, lambda: next(values))
    assert (record.steps, record.value, len(record.history)) == (2, 1.0, 2)


def test_fit_without_validation_runs_all_steps_once(tmp_path: Path) -> None:
    record = trainer.fit(Line(), batch_at, trainer.Schedule(15), tmp_path)
    assert record.steps == 15
    assert trainer.fit(Line(), batch_at, trainer.Schedule(15), tmp_path) == record
