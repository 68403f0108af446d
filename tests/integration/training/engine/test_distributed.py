"""Several ranks learn what one process does: the same losses, step for step, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from config import settings
from tests.support.training import distributed_fits
from tests.support.training.tiny_world import START, random_plays, write_marts
from training import train
from training.engine import distributed, trainer
from training.ranking import RANKERS
from training.recall import CHANNELS

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
SECONDS = 900
pytestmark = pytest.mark.timeout(2 * SECONDS)  # the first to ask for the fits waits for all of them


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world, with statistics of one track."""
    folder = write_marts(tmp_path_factory.mktemp("ranks"), random_plays())
    counts = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
    rows = {"track_id": ["t3"], "known_at": [START], **{name: [2] for name in counts}}
    pl.DataFrame(rows).with_columns(pl.col("known_at").cast(pl.Datetime("us"))).write_parquet(
        folder / "track_statistics.parquet"
    )
    return folder


def started(marts: Path, out: Path, *models: str, before: tuple[str, ...] = (), pause: float = 0.0) -> Any:
    """The fits of `models`, begun in a process of their own, or in those that `before` starts; one thread each."""
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


def ended(process: Any, out: Path) -> Path:
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said[-4000:]
    return out


def curve(out: Path, model: str) -> list[dict[str, float]]:
    history: list[dict[str, float]] = json.loads((out / model / trainer.FIT_RECORD_FILE).read_text())["history"]
    return history


@pytest.fixture(scope="module")
def alone(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model, fitted by one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    return ended(started(marts, out, *distributed_fits.MODELS), out)


@pytest.fixture(scope="module")
def by_two(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model, fitted by two ranks."""
    out = tmp_path_factory.mktemp("two") / "out"
    return ended(started(marts, out, *distributed_fits.MODELS, before=(*TORCHRUN, "2")), out)


def test_every_model_that_learns_in_steps_is_compared() -> None:
    configs = {name: kind.config("debug") for name, kind in {**CHANNELS, **RANKERS}.items()}
    assert {name for name, config in configs.items() if train.supports_distributed_training(config)} == {
        name.partition("-")[0] for name in distributed_fits.MODELS
    }


@pytest.mark.parametrize("model", distributed_fits.MODELS)
def test_two_ranks_have_the_losses_of_one_process(model: str, alone: Path, by_two: Path) -> None:
    one, two = curve(alone, model), curve(by_two, model)
    assert len(one) >= 4 and [row["step"] for row in two] == [row["step"] for row in one]
    np.testing.assert_allclose([row["loss"] for row in two], [row["loss"] for row in one], rtol=1e-5)
    np.testing.assert_allclose([row["value"] for row in two], [row["value"] for row in one], rtol=2e-3)


def test_a_killed_rank_is_started_again_and_the_losses_are_those_of_one_process(
    marts: Path, tmp_path: Path, alone: Path
) -> None:
    out, last = tmp_path / "out", tmp_path / "out" / "realtime" / trainer.LAST_CHECKPOINT_FILE
    process = started(marts, out, "realtime", before=(*TORCHRUN, "2", "--max-restarts", "1"), pause=0.2)
    deadline = time.monotonic() + SECONDS
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    (second,) = out.glob("rank-1-*")
    os.kill(int(second.name.rsplit("-", 1)[1]), signal.SIGKILL)
    assert not (out / "realtime" / trainer.FIT_RECORD_FILE).exists(), "the rank was not killed in the middle"
    ended(process, out)
    assert len(list(out.glob("rank-1-*"))) == len(list(out.glob("rank-0-*"))) == 2
    one, two = curve(alone, "realtime"), curve(out, "realtime")
    np.testing.assert_allclose([row["loss"] for row in two], [row["loss"] for row in one], rtol=1e-5)


def test_ranks_end_with_the_torchrun_that_started_them_and_one_process_goes_on(
    marts: Path, tmp_path: Path, alone: Path
) -> None:
    out = tmp_path / "out"
    process = started(marts, out, "realtime", before=(*TORCHRUN, "2"), pause=0.5)
    deadline = time.monotonic() + SECONDS
    while not (out / "realtime" / trainer.LAST_CHECKPOINT_FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    left = [int(path.name.rsplit("-", 1)[1]) for path in out.glob("rank-*")]
    while any(is_alive(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(left) == 2 and not (out / "realtime" / trainer.FIT_RECORD_FILE).exists()
    assert not any(is_alive(pid) for pid in left)
    ended(started(marts, out, "realtime"), out)
    one, both = curve(alone, "realtime"), curve(out, "realtime")
    np.testing.assert_allclose([row["loss"] for row in both], [row["loss"] for row in one], rtol=1e-5)


def test_a_setting_is_all_that_a_command_needs(marts: Path, tmp_path: Path) -> None:
    (tmp_path / "marts").symlink_to(marts)
    environment = {**os.environ, "SEGUE_HOME": str(tmp_path), "SEGUE_TRAINING_RANKS": "2", "SEGUE_THREADS": "1"}

    def said(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=settings.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    said("local.environment", "feast", "-c", "feature_repo", "apply")
    channel = ("training.train", "channel", "realtime", "--recipe", "debug")
    assert said(*channel).count("realtime (held_out)") == 1
    assert said(*channel) == "unchanged: realtime (held_out)\n"
    (measures,) = (tmp_path / "training").glob("*-debug/held_out/channels/realtime/measures.json")
    assert json.loads(measures.read_text())["ranks"] == 2


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, of: int) -> None:
    monkeypatch.setattr(distributed, "rank_and_world_size", lambda: (rank, of))


@pytest.mark.parametrize(("count", "of"), [(0, 2), (1, 3), (7, 2), (8, 3)])
def test_every_row_is_one_ranks(monkeypatch: pytest.MonkeyPatch, count: int, of: int) -> None:
    taken: list[int] = []
    for rank in range(of):
        as_rank(monkeypatch, rank, of)
        taken += range(count)[distributed.rank_slice(count)]
    assert taken == list(range(count))


def test_a_process_alone_weighs_gathers_and_draws_as_if_there_were_no_ranks() -> None:
    value, rows = torch.tensor(float("nan")), torch.arange(3)
    assert distributed.weight_for_global_mean(value, 0) is value and distributed.all_reduce_sum(rows) is rows
    assert distributed.all_gather_rows(rows) == (rows, 0) and distributed.rank_slice(9) == slice(0, 9)
    assert (
        distributed.shared_generator() is None
        and distributed.seed_step(17) == 17
        and distributed.all_reduce_mean(0.1) == 0.1
    )
    distributed.require_rank0()


def test_what_ranks_draw_alike_is_what_one_process_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(distributed.seed_step(5))
    one = torch.randperm(20)
    for rank in range(2):
        as_rank(monkeypatch, rank, 2)
        own = distributed.seed_step(5)
        assert torch.equal(torch.randperm(20, generator=distributed.shared_generator()), one) and own not in (
            5,
            distributed.seed_step(6),
        )


def test_only_the_first_rank_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    as_rank(monkeypatch, 1, 2)
    with pytest.raises(distributed.NotRank0):
        distributed.require_rank0()


def test_a_setting_starts_the_same_command_in_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))
    monkeypatch.setattr(sys, "argv", ["train.py", "channel", "realtime"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", train.__spec__)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(distributed.SEPARATE_STORE_VARIABLE, "")
    monkeypatch.delenv(distributed.SEPARATE_STORE_VARIABLE)
    distributed.launch_torchrun(3)
    assert os.environ[distributed.SEPARATE_STORE_VARIABLE] == "1"
    assert became == [
        [sys.executable, *TORCHRUN, "3", "--max-restarts", "3", "-m", "training.train", "channel", "realtime"]
    ]
