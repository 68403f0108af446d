"""Data-parallel ranks have the losses of a single process, step by step, even if a rank is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from config import settings
from tests.support.pipeline_commands import run_to_end
from tests.support.tiers import acceptance_only
from tests.support.training import distributed_fits
from tests.support.training.tiny_world import add_statistics, random_plays, write_marts
from tests.support.waiting import wait_until
from training import train
from training.engine import distributed, trainer
from training.ranking.registry import RANKERS
from training.recall.registry import CHANNELS

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
SECONDS = 900
pytestmark = pytest.mark.timeout(2 * SECONDS)  # the first test that uses the fits waits for all of them


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world, with statistics of one track."""
    return add_statistics(write_marts(tmp_path_factory.mktemp("ranks"), random_plays()))


def start_fits(marts: Path, out: Path, *models: str, before: tuple[str, ...] = (), pause: float = 0.0) -> Any:
    """A process that fits `models` with one thread; `before` is a launcher such as torchrun."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, *before, "-m", "tests.support.training.distributed_fits", str(marts), str(out)]
    return subprocess.Popen(
        [*command, "--pause", str(pause), *models],
        cwd=settings.ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(settings.ROOT),
            "OMP_NUM_THREADS": "1",
            "SEGUE_THREADS": "1",
            distributed.SEPARATE_STORE_VARIABLE: "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process: Any, out: Path) -> Path:
    """Wait until the process has succeeded; returns `out`."""
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output[-4000:]
    return out


def history(out: Path, model: str) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads((out / model / trainer.FIT_RECORD_FILE).read_text())["history"]
    return rows


@pytest.fixture(scope="module")
def single_process(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of every model, fitted by one process."""
    out = tmp_path_factory.mktemp("single") / "out"
    return wait_for(start_fits(marts, out, *distributed_fits.MODELS), out)


@pytest.fixture(scope="module")
def two_ranks(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of every model, fitted by two ranks."""
    out = tmp_path_factory.mktemp("two") / "out"
    return wait_for(start_fits(marts, out, *distributed_fits.MODELS, before=(*TORCHRUN, "2")), out)


def test_all_models_trained_in_steps_are_compared() -> None:
    configs = {name: kind.config("debug") for name, kind in {**CHANNELS, **RANKERS}.items()}
    assert {name for name, config in configs.items() if train.supports_distributed_training(config)} == {
        name.partition("-")[0] for name in distributed_fits.MODELS
    }


@pytest.mark.parametrize("model", distributed_fits.MODELS)
def test_two_ranks_have_the_losses_of_one_process(model: str, single_process: Path, two_ranks: Path) -> None:
    one, two = history(single_process, model), history(two_ranks, model)
    assert len(one) >= 4 and [row["step"] for row in two] == [row["step"] for row in one]
    np.testing.assert_allclose([row["loss"] for row in two], [row["loss"] for row in one], rtol=1e-5)
    np.testing.assert_allclose([row["value"] for row in two], [row["value"] for row in one], rtol=2e-3)


@acceptance_only
def test_killed_rank_is_restarted_without_changing_losses(marts: Path, tmp_path: Path, single_process: Path) -> None:
    out, last = tmp_path / "out", tmp_path / "out" / "realtime" / trainer.LAST_CHECKPOINT_FILE
    process = start_fits(marts, out, "realtime", before=(*TORCHRUN, "2", "--max-restarts", "1"), pause=0.2)
    wait_until(lambda: last.exists() or process.poll() is not None, "a checkpoint", SECONDS)
    (second,) = out.glob("rank-1-*")
    os.kill(int(second.name.rsplit("-", 1)[1]), signal.SIGKILL)
    assert not (out / "realtime" / trainer.FIT_RECORD_FILE).exists(), "the fit had finished before the rank was killed"
    wait_for(process, out)
    assert len(list(out.glob("rank-1-*"))) == len(list(out.glob("rank-0-*"))) == 2
    one, two = history(single_process, "realtime"), history(out, "realtime")
    np.testing.assert_allclose([row["loss"] for row in two], [row["loss"] for row in one], rtol=1e-5)


@acceptance_only
def test_ranks_end_with_torchrun_and_one_process_resumes(marts: Path, tmp_path: Path, single_process: Path) -> None:
    out = tmp_path / "out"
    process = start_fits(marts, out, "realtime", before=(*TORCHRUN, "2"), pause=0.5)
    wait_until((out / "realtime" / trainer.LAST_CHECKPOINT_FILE).exists, "a checkpoint", SECONDS)
    process.kill()
    process.wait()
    ranks = [int(path.name.rsplit("-", 1)[1]) for path in out.glob("rank-*")]
    wait_until(lambda: not any(is_alive(pid) for pid in ranks), "the end of the ranks", SECONDS)
    assert len(ranks) == 2 and not (out / "realtime" / trainer.FIT_RECORD_FILE).exists()
    wait_for(start_fits(marts, out, "realtime"), out)
    one, resumed = history(single_process, "realtime"), history(out, "realtime")
    np.testing.assert_allclose([row["loss"] for row in resumed], [row["loss"] for row in one], rtol=1e-5)


def test_setting_starts_ranks_of_a_command(marts: Path, tmp_path: Path) -> None:
    shutil.copytree(marts, tmp_path / "marts")
    pl.DataFrame({"split": ["user_time"]}).write_parquet(tmp_path / "marts" / "time_split.parquet")
    environment = {**os.environ, "SEGUE_HOME": str(tmp_path), "SEGUE_TRAINING_RANKS": "2", "SEGUE_THREADS": "1"}

    def run(*command: str) -> str:
        return run_to_end([sys.executable, "-m", *command], environment)

    run("local.environment", "python", "-m", "sequences.feast_command", "-c", "feature_repo", "apply")
    channel = ("training.train", "channel", "realtime", "--recipe", "debug")
    assert run(*channel).count("realtime (held_out)") == 1
    assert run(*channel) == "unchanged: realtime (held_out)\n"
    (measures,) = (tmp_path / "training").glob("*-debug/held_out/channels/realtime/measures.json")
    assert json.loads(measures.read_text())["ranks"] == 2


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
