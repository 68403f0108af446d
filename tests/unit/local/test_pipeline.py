"""Pipeline without a scheduler: checks of parameters and disk, choice of logs."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from local import land, pipeline, services
from local.run_parameters import RunParameters, StepError, parse_run_parameters
from storage.files import DiskSpaceError, check_disk_space


@pytest.mark.parametrize(
    ("needed_mb", "raised", "message"),
    [(0, StepError, "^bad failed$"), (1 << 40, DiskSpaceError, r"has \d+ MB left where \d+ are needed; free some")],
)
def test_a_failed_task_is_named_or_the_full_disk(here, monkeypatch, capsys, needed_mb, raised, message):
    def run_dags(*_):
        print("output of a task")
        raise StepError("bad failed")

    monkeypatch.setitem(sys.modules, "local.dag_runs", SimpleNamespace(run_dags=run_dags))
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.setattr(pipeline, "DISK_FULL_MB", needed_mb)
    with pytest.raises(raised, match=message):
        pipeline.run(here, RunParameters())
    assert (here.logs / "pipeline.log").read_text() == "output of a task\n" and not capsys.readouterr().out


@pytest.mark.parametrize("started", [services.start, lambda here: pipeline.run(here, RunParameters())])
def test_nothing_starts_without_free_disk_space(here, monkeypatch, started):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    with pytest.raises(DiskSpaceError, match="has 3 MB left where 512 are needed; free some, or choose"):
        started(here)
    assert list(here.home.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskSpaceError, match=r"SEGUE_HOME=.*/file/home cannot be written \(Not a directory\); choose"):
        check_disk_space(tmp_path / "file" / "home")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--logs", "/no/where"], "there are no logs at /no/where"),
        (["--channels", "popularity popularty"], "unknown channel popularty; set CHANNELS to some of popularity, "),
        *(
            (["--as-of", day], f"'{day}' is not a date; write AS_OF as 2026-06-30")
            for day in ("30.06.2026", "2026-13-01", "20260630", "yesterday")
        ),
    ],
)
def test_parameters_that_cannot_be_meant_are_rejected(capsys, arguments, message):
    with pytest.raises(SystemExit):
        parse_run_parameters(argparse.ArgumentParser(), arguments)
    assert message in capsys.readouterr().err
    assert parse_run_parameters(argparse.ArgumentParser(), ["--as-of", "2026-06-30"]).as_of == "2026-06-30"


@pytest.mark.parametrize(
    ("logs", "landed", "expected"),
    [
        ("my_logs", [], ["my_logs"]),
        (None, [], ["simulate", "debug"]),
        (None, [("live", None)], ["simulate", "debug"]),
        (None, [("my_logs", "user_time")], []),
    ],
)
def test_a_world_is_simulated_only_if_nothing_is_landed(here, monkeypatch, logs, landed, expected):
    file = here.landing / "landings" / "dt=2026-07-01" / "a.parquet"
    pl.DataFrame(landed, {"source": pl.String, "split": pl.String}, orient="row").write_parquet(file, mkdir=True)
    done = []
    monkeypatch.setattr(land, "simulate", lambda *_: done.append("simulate"))
    monkeypatch.setattr(land.ingestion.land, "main", lambda arguments: done.append(Path(arguments[0]).name) or 0)
    assert land.land(here, logs, "debug") == 0
    assert done == expected
