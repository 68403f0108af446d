"""Pipeline without a scheduler: order, stop at the first failure, checks of parameters and disk, choice of logs."""

import argparse
import shutil
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config import settings
from local import land, pipeline, run, services
from local.pipeline import RunParameters, Step, StepError
from storage.disk_space import DiskSpaceError, check_disk_space


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return settings.load_settings()


def test_models_are_trained_evaluated_refitted_and_released_in_that_order():
    tables = {"channels": ["popularity"], "rankers": ["sum_pooling"]}
    steps = pipeline.model_steps(RunParameters(recipe="debug"), "2026-07-01", tables)
    assert [step.name for step in steps] == [
        "prepare",
        "held_out_popularity",
        "held_out_sum_pooling",
        "evaluate",
        "final_popularity",
        "final_sum_pooling",
        "measure_behavior",
        "release",
    ]
    assert all(step.command[-4:] == ["--as-of", "2026-07-01", "--recipe", "debug"] for step in steps)
    tables = {
        **{"heads": ["listened"], "rankers": ["sum_pooling"]},
        **{"collections": ["playlists"], "channels": ["realtime"]},
    }
    steps = pipeline.model_steps(RunParameters(), "2026-07-01", tables)
    order = ["realtime", "playlists", "sum_pooling", "listened"]
    assert [step.name for step in steps][1:5] == [f"held_out_{name}" for name in order]
    assert steps[2].command[6:11] == ["training.train", "collection", "playlists", "--fit", "held_out"]


def test_parameters_are_single_words_of_a_command():
    land_logs, _ = pipeline.landing_steps(RunParameters(logs="/my logs; $HOME", recipe="debug"))
    words = ["python", "-m", "local.land", "--logs", "/my logs; $HOME", "--recipe", "debug"]
    assert land_logs.command == ["python", "-m", "local.process_lock", "land_logs", *words]
    build = pipeline.feature_steps("2026-07-01", "small")[1]
    assert build.command[4:8] == ["dbt", "build", "--project-dir", "dbt"]
    assert build.command[-2:] == ["--vars", "{as_of: '2026-07-01'}"]


def test_dbt_docs_have_the_variables_of_the_build_because_dbt_parses_all_files_again_for_others():
    steps = {step.name: step.command for step in pipeline.feature_steps("2026-07-01", "small")}
    assert steps["document_marts"][4:7] == ["dbt", "docs", "generate"]
    assert steps["document_marts"][-2:] == steps["build_marts"][-2:]


def test_features_are_applied_by_the_command_that_imports_feast_without_instrumentation():
    steps = {step.name: step.command for step in pipeline.feature_steps("2026-07-01", "small")}
    apply = ["python", "-m", "sequences.feast_command", "-c", "feature_repo", "apply"]
    assert steps["apply_features"][4:] == apply


def test_each_model_and_encoder_has_a_lock():
    steps = [*pipeline.feature_steps("2026-07-01", "debug"), *pipeline.model_steps(
        RunParameters(), "2026-07-01", {"channels": ["popularity", "realtime"], "rankers": ["sum_pooling"]}
    )]  # fmt: skip
    assert all(step.command[:3] == ["python", "-m", "local.process_lock"] for step in steps)
    locks = {step.name: step.command[3] for step in steps}
    assert locks["build_marts"] == "build_marts" and locks["encode_audio"] == "encode_content_audio"
    assert locks["held_out_popularity"] == locks["final_popularity"] == "train_channel_popularity"
    assert len(set(locks.values())) == len(steps) - 3  # the final fits have the locks of the held-out ones


def test_the_first_failed_step_ends_the_run_with_its_log_and_remedy(here, monkeypatch):
    bad = Step("bad", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], "fails", "Correct it.")
    never = Step("never", ["touch", str(here.home / "ran")], "must not run")
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: [bad, never])
    with pytest.raises(StepError, match=r"bad failed.*01_bad\.log.*\n.*the reason\nWhat to do: Correct it."):
        pipeline.run(here, RunParameters())
    assert not (here.home / "ran").exists()


def test_a_step_failed_on_a_full_disk_reports_the_disk(here, monkeypatch):
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: [Step("bad", ["false"], "fails")])
    monkeypatch.setattr(pipeline, "DISK_FULL_MB", 1 << 40)
    with pytest.raises(
        DiskSpaceError, match=rf"SEGUE_HOME={here.home} has \d+ MB left where \d+ are needed; free some"
    ):
        pipeline.run(here, RunParameters())


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


def test_missing_logs_are_rejected(tmp_path, capsys):
    with pytest.raises(SystemExit):
        pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--logs", str(tmp_path / "nowhere")])
    assert f"there are no logs at {tmp_path / 'nowhere'}" in capsys.readouterr().err


def test_an_unknown_channel_is_rejected_before_anything_starts(here, monkeypatch):
    started = []
    monkeypatch.setattr(services, "start", lambda *_: started.append("services"))
    monkeypatch.setattr(pipeline, "landing_steps", lambda _: started.append("landing") or [])
    monkeypatch.setattr(pipeline, "read_last_output_line", lambda *_: '{"channels": ["popularity", "realtime"]}')
    for command in (run, pipeline):
        with pytest.raises(StepError, match="unknown channel popularty; set CHANNELS to some of popularity, realtime"):
            command.run(here, RunParameters(channels=("popularity", "popularty")))
    assert started == []


@pytest.mark.parametrize(
    ("command", "remedy"),
    [(run, "`make stop` stops them"), (pipeline, "the same command continues with the finished steps")],
)
def test_an_interrupted_command_says_what_continues(here, monkeypatch, capsys, command, remedy):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupt)
    assert command.main([]) == 130
    assert remedy in capsys.readouterr().err


@pytest.mark.parametrize("day", ["30.06.2026", "2026-13-01", "20260630", "yesterday"])
def test_an_invalid_date_is_rejected(capsys, day):
    with pytest.raises(SystemExit):
        pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--as-of", day])
    assert f"'{day}' is not a date; write AS_OF as 2026-06-30" in capsys.readouterr().err
    assert pipeline.parse_run_parameters(argparse.ArgumentParser(), ["--as-of", "2026-06-30"]).as_of == "2026-06-30"


def write_landings(here, sources):
    """Landing records of (source, split) pairs."""
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
    ("logs", "landed", "modules"),
    [
        ("my_logs", [], ["ingestion.land my_logs"]),
        (None, [], ["ingestion.simulate", "ingestion.land"]),
        (None, [("live", None)], ["ingestion.simulate", "ingestion.land"]),
        (None, [("my_logs", "user_time")], []),
    ],
)
def test_a_world_is_simulated_only_if_nothing_is_landed(here, monkeypatch, logs, landed, modules):
    write_landings(here, landed)
    commands = []

    def run_module(*arguments):
        (here.home / "simulated" / "debug").mkdir(parents=True, exist_ok=True)
        commands.append(" ".join(arguments))

    monkeypatch.setattr(land, "_run_module", run_module)
    land.land(here, logs, "debug")
    assert len(commands) == len(modules)
    assert all(command.startswith(module) for command, module in zip(commands, modules, strict=True))
