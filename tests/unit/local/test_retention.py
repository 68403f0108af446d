"""Retention removes what is older than its lifetime, and nothing that a served release, a rollback or a backfill needs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.settings import FOREVER, Lifetimes, Settings
from dags.task_catalog import TASKS
from local import retention as command
from local.retention import Removal, find_removals
from storage.files import atomic_write, write_json
from tests.support.pipeline_commands import run_to_end

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
LIFETIMES = Lifetimes(landed=30, feature_log=10, workspaces=10, releases=10, reports=10)


def write(path: Path, text: str = "x", days_old: float = 0) -> Path:
    atomic_write(path, text)
    set_age(path, days_old)
    return path


def set_age(path: Path, days: float) -> None:
    os.utime(path, times=((NOW - timedelta(days=days)).timestamp(),) * 2)


def removed(here: Settings, store: str) -> set[str]:
    """Paths below the home that may be removed from a store."""
    return {
        str(removal.path.relative_to(here.home))
        for removal in find_removals(here, LIFETIMES, NOW)
        if removal.store == store
    }


def write_release(here: Settings, name: str, days_old: float, as_of: str = "2026-01-01") -> None:
    released = (NOW - timedelta(days=days_old)).isoformat()
    manifest = {"release": name, "released_at": released, "as_of": as_of, "recipe": "small"}
    write_json(here.releases / "models/segue" / name / "manifest.json", manifest)


def write_pointer(here: Settings, active: str, history: list[tuple[str, str]], canaries: list[str]) -> None:
    rows = [{"release": release, "path": "", "why": why} for release, why in history]
    write_json(here.releases / "active.json", {"release": active, "path": "", "history": rows})
    beside = [{"release": release, "share": 0.1} for release in canaries]
    write_json(here.releases / "shares.json", {"experiment": "e", "canaries": beside})


@pytest.mark.parametrize(
    ("ages", "active", "history", "expected"),
    [
        pytest.param(
            {"active": 90, "canary": 80, "bad": 70, "r1": 60, "r2": 59, "r3": 58, "r4": 57, "young": 9},
            "active",
            [*((f"r{number}", "replaced") for number in (1, 2, 3, 4)), ("bad", "rollback")],
            {"bad", "r1"},
            id="served, or a target of one of three rollbacks",
        ),
        pytest.param(
            {"one": 60, "two": 59, "three": 58, "newest": 57},
            "three",
            [("one", "replaced"), ("two", "rollback"), ("one", "replaced"), ("two", "replaced")],
            set(),
            id="activated after its rollback",
        ),
        pytest.param({"refused": 20, "older": 30}, None, [], {"older"}, id="the newest, although never served"),
    ],
)
def test_needed_releases_stay(
    here: Settings, ages: dict[str, int], active: str | None, history: list[tuple[str, str]], expected: set[str]
) -> None:
    for name, age in ages.items():
        write_release(here, name, age)
    if active:
        write_pointer(here, active, history, ["canary"])
    assert removed(here, "releases") == {f"bentoml/models/segue/{name}" for name in expected}


MONTHS = ("2026-03", "2026-04-29", "2026-04-30", "2026-05-01", "2026-06-05")
LANDED = {
    f"landing/{table}/dt={name}/a.parquet": 0.0
    for table in ("listening_events", "exposures", "tracks")
    for name in MONTHS
} | {
    "landing/listening_events/dt=1970-01-01/empty.parquet": 0,
    "quarantine/tracks/dt=2026-05-30/a.parquet": 0,
    "quarantine/tracks/dt=2026-05-31/a.parquet": 0,
}


@pytest.mark.parametrize(
    ("store", "ages", "expected"),
    [
        pytest.param(
            "workspaces",
            {f"training/{name}/held_out/model": 40 for name in ("2026-03-01-small", "2026-04-01-small")}
            | {f"training/{name}/held_out/model": 40 for name in ("2026-05-01-small", "2026-03-01-debug")}
            | {"training/cache/final-1/array": 40, "training/cache/final-2/array": 1},
            {"training/2026-04-01-small", "training/cache/final-1"},
            id="workspaces of served releases and the newest of a recipe stay",
        ),
        pytest.param(
            "landed",
            LANDED,
            {
                f"landing/{table}/dt={name}/a.parquet"
                for table in ("listening_events", "exposures")
                for name in MONTHS[:3]
            }
            | {"quarantine/tracks/dt=2026-05-30/a.parquet"},
            id="landed events by whole months before the newest landed day",
        ),
        pytest.param(
            "feature_log",
            {"requests/dt=2026-06-19/requests-1-1.jsonl": 0, "requests/dt=2026-06-20/requests-2-1.jsonl": 0},
            {"requests/dt=2026-06-19/requests-1-1.jsonl"},
            id="the feature log by day",
        ),
        pytest.param(
            "reports",
            {"reports/evaluation.json": 90, "reports/history/skew.jsonl": 90}
            | {"reports/data_docs/marts/old.html": 11, "reports/data_docs/marts/new.html": 9},
            {"reports/data_docs/marts/old.html"},
            id="pages of reports by age",
        ),
    ],
)
def test_what_is_older_than_its_lifetime_is_removed(
    here: Settings, store: str, ages: dict[str, float], expected: set[str]
) -> None:
    write_release(here, "active", 50, "2026-03-01")
    write_pointer(here, "active", [], [])
    for name, days in ages.items():
        write(here.home / name, days_old=days)
        for folder in Path(name).parents:
            set_age(here.home / folder, days)
    assert removed(here, store) == expected
    assert find_removals(here, Lifetimes(**dict.fromkeys(Lifetimes.model_fields, FOREVER)), NOW) == []


def test_dry_run_prints_and_a_run_removes_the_same(here: Settings) -> None:
    old = write(here.feature_log / "dt=2026-06-01/requests-1-1.jsonl")
    write_release(here, "old", 40)
    write_release(here, "new", 1)
    leftover = write(here.training / f"{command.LEFTOVER}releases-r" / "manifest.json").parent
    assert any(str(old) in line for line in command.prune(here, LIFETIMES, NOW, is_dry_run=True))
    assert old.exists()
    command.prune(here, LIFETIMES, NOW, is_dry_run=False)
    assert not old.parent.exists()
    assert not leftover.exists(), "left by an interrupted run"
    assert [folder.name for folder in (here.releases / "models/segue").iterdir()] == ["new"]


def test_folders_that_were_moved_to_another_disk_are_removed(here: Settings, tmp_path_factory: pytest.TempPathFactory,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    disk = tmp_path_factory.mktemp("disk")
    here.training.symlink_to(disk / "training")
    (disk / "training").mkdir()
    write(here.training / "2026-05-01-small" / "model")
    (here.training / "2026-03-01-small").symlink_to(disk / "workspace")
    write(disk / "workspace" / "model", days_old=40)
    set_age(disk / "workspace", 40)
    rename = Path.rename

    def rename_within_a_disk(self: Path, target: Path) -> Path:
        if self.parent.resolve().is_relative_to(disk) != target.parent.resolve().is_relative_to(disk):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_within_a_disk)
    command.prune(here, LIFETIMES, NOW, is_dry_run=False)
    assert [folder.name for folder in here.training.iterdir()] == ["2026-05-01-small"]
    assert not (disk / "workspace").exists()


def test_a_release_that_is_activated_meanwhile_stays(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here.feature_log / "dt=2026-06-01/requests-1-1.jsonl")
    for name, age in {"old": 40, "other": 30, "new": 1}.items():
        write_release(here, name, age)
    remove = command._remove

    def remove_after_an_activation(removal: Removal, training: Path) -> None:
        write_pointer(here, "old", [], [])
        remove(removal, training)

    monkeypatch.setattr(command, "_remove", remove_after_an_activation)
    command.prune(here, LIFETIMES, NOW, is_dry_run=False)
    assert {folder.name for folder in (here.releases / "models/segue").iterdir()} == {"old", "new"}


def test_prune_waits_for_a_task_of_the_pipeline(
    here: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TASKS, "prepare", replace(TASKS["prepare"], command="sh -c 'echo begun; exec cat'"))
    process = start_task(here)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    ending = threading.Timer(0.2, process.communicate)
    ending.start()
    with command.no_running_tasks(here):
        assert process.wait(10) == 0
        assert "waiting: prepare runs in" in capsys.readouterr().err
    ending.join()


def test_a_task_that_never_ran_waits_for_a_running_prune(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "prepare", replace(TASKS["prepare"], command="echo begun"))
    with command.no_running_tasks(here):
        process = start_task(here)
        assert process.stdout is not None and process.stdout.readline().startswith(
            f"waiting: prune runs in {here.home} "
        )
    assert process.communicate(timeout=30)[0] == "begun\n"


def test_prune_as_a_task_does_not_wait_for_itself(here: Settings) -> None:
    words = [sys.executable, "-m", "local.process_lock", "prune", sys.executable, "-m", "local.retention"]
    run_to_end(words, {**os.environ, "SEGUE_HOME": str(here.home)})


def start_task(here: Settings) -> subprocess.Popen[str]:
    """Process of the command of the task `prepare`, with pipes."""
    return subprocess.Popen(
        ["sh", "-c", f"exec {TASKS['prepare'].locked_command}"],
        env={**os.environ, "SEGUE_HOME": str(here.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
