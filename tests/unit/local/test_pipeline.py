"""The line's order, its stop at the first failure, and what is landed when nothing is asked for."""

import argparse
import shutil
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config import settings
from local import land, pipeline, run, services
from local.disk_space import DiskSpaceError, check_disk_space
from local.pipeline import RunParameters, Step, StepError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return settings.load_settings()


def test_models_are_trained_compared_refitted_and_released_in_that_order():
    steps = pipeline.model_steps(RunParameters(recipe="debug"), "2026-07-01", ["popularity"], ["sum_pooling"])
    assert [step.name for step in steps] == [
        "prepare",
        "held_out_popularity",
        "held_out_sum_pooling",
        "evaluate",
        "final_popularity",
        "final_sum_pooling",
        "release",
    ]
    more = pipeline.model_steps(
        RunParameters(), "2026-07-01", ["realtime"], ["sum_pooling"], ["playlists"], ["listened"]
    )
    learned = ["realtime", "playlists", "sum_pooling", "listened"]
    assert [step.name for step in more][1:5] == [f"held_out_{name}" for name in learned]
    assert all(step.command[-4:] == ["--as-of", "2026-07-01", "--recipe", "debug"] for step in steps)


def test_the_first_step_that_fails_ends_the_run_and_names_its_log(here, monkeypatch):
    bad = Step("bad", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], "fails")
    never = Step("never", ["touch", str(here.home / "ran")], "must not run")
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: [bad, never])
    with pytest.raises(StepError, match=r"bad failed.*01_bad\.log.*\n.*the reason"):
        pipeline.run(here, RunParameters())
    assert not (here.home / "ran").exists()


def test_a_step_that_failed_on_a_full_disk_is_not_asked_for_its_reason(here, monkeypatch):
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: [Step("bad", ["false"], "fails")])
    monkeypatch.setattr(pipeline, "DISK_FULL_MB", 1 << 40)
    with pytest.raises(
        DiskSpaceError, match=rf"SEGUE_HOME={here.home} has \d+ MB left where \d+ are needed; free some"
    ):
        pipeline.run(here, RunParameters())


@pytest.mark.parametrize("started", [services.start, lambda here: pipeline.run(here, RunParameters())])
def test_nothing_begins_without_room(here, monkeypatch, started):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    with pytest.raises(DiskSpaceError, match="has 3 MB left where 512 are needed; free some, or choose"):
        started(here)
    assert list(here.home.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskSpaceError, match=r"SEGUE_HOME=.*/file/home cannot be written \(Not a directory\); choose"):
        check_disk_space(tmp_path / "file" / "home")


def test_missing_logs_are_refused_before_anything_runs(tmp_path, capsys):
    with pytest.raises(SystemExit):
        pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--logs", str(tmp_path / "nowhere")])
    assert f"there are no logs at {tmp_path / 'nowhere'}" in capsys.readouterr().err


def test_a_channel_that_there_is_not_is_refused_before_anything_starts(here, monkeypatch):
    started = []
    monkeypatch.setattr(services, "start", lambda *_: started.append("services"))
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: started.append("landing") or [])
    monkeypatch.setattr(pipeline, "read_last_output_line", lambda *_: '{"channels": ["popularity", "realtime"]}')
    for command in (run, pipeline):
        with pytest.raises(
            StepError, match="no channel is called popularty; give CHANNELS some of popularity, realtime"
        ):
            command.run(here, RunParameters(channels=("popularity", "popularty")))
    assert started == []


@pytest.mark.parametrize(
    ("command", "remedy"), [(run, "`make stop` ends them"), (pipeline, "the same command goes on with what is done")]
)
def test_who_stops_a_command_is_told_what_goes_on(here, monkeypatch, capsys, command, remedy):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", stopped)
    assert command.main([]) == 130
    assert remedy in capsys.readouterr().err


@pytest.mark.parametrize("day", ["30.06.2026", "2026-13-01", "20260630", "yesterday"])
def test_what_is_no_day_is_refused_before_anything_runs(capsys, day):
    with pytest.raises(SystemExit):
        pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--as-of", day])
    assert f"'{day}' is no day; write AS_OF as 2026-06-30" in capsys.readouterr().err
    assert pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--as-of", "2026-06-30"]).as_of == "2026-06-30"


def landings(here, sources):
    folder = here.landing / "landings" / "dt=2026-07-01"
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "source": pa.array([s for s, _ in sources], pa.string()),
            "split": pa.array([p for _, p in sources], pa.string()),
        }
    )
    pq.write_table(table, folder / "a.parquet")


@pytest.mark.parametrize(
    ("asked", "already", "runs"),
    [
        ("my_logs", [], ["ingestion.land my_logs"]),
        (None, [], ["ingestion.simulate", "ingestion.land"]),
        (None, [("live", None)], ["ingestion.simulate", "ingestion.land"]),
        (None, [("my_logs", "user_time")], []),
    ],
)
def test_a_simulated_world_is_made_only_where_nothing_was_landed(here, monkeypatch, asked, already, runs):
    landings(here, already)
    done = []
    monkeypatch.setattr(
        land,
        "_run",
        lambda *arguments: (
            (here.home / "simulated" / "debug").mkdir(parents=True, exist_ok=True) or done.append(" ".join(arguments))
        ),
    )
    land.land(here, asked, "debug")
    assert len(done) == len(runs)
    assert all(line.startswith(start) for line, start in zip(done, runs, strict=True))
