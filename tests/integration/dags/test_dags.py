"""DAGs: parsing, dependencies, retries, documentation, result links, and the propagation of Params."""

import importlib
import json
import os
import sys
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from config import settings
from dags.task_catalog import BATCH_SCENES
from recommender.slate.scene_settings import SCENES
from tests.support import console_home
from tests.support.pipeline_commands import run_to_end

DAGS = Path(__file__).parents[3] / "dags"
PIPELINE_DAGS = ["ingest_listening_logs", "build_features", "train_models", "release_models"]

DESCRIBE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
sys.path.insert(0, sys.argv[1])

def first_run(dag):
    # First run of a new Airflow that starts five minutes after midnight
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction
    from pendulum import datetime
    trigger.utcnow = lambda: datetime(2026, 1, 2, 0, 5)
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    arguments = {"last_automated_data_interval": None, "restriction": TimeRestriction(None, None, False)}
    return timetable.next_dagrun_info(**arguments).run_after.isoformat()

bag = DagBag(sys.argv[1])
print(json.dumps({
    "errors": bag.import_errors,
    "dags": {
        dag_id: {
            "file": dag.fileloc,
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "schedule": type(dag.timetable).__name__,
            "triggered_by": [dag.timetable.asset_condition.name]
            if getattr(dag.timetable, "asset_condition", None) else [],
            "first": first_run(dag) if "Cron" in type(dag.timetable).__name__ else None,
            "emits": [outlet.name for task in dag.tasks for outlet in task.outlets],
            "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
            "retries": {task.task_id: task.retries for task in dag.tasks},
        }
        for dag_id, dag in bag.dags.items()
    },
}, default=str))
"""


def describe(home, **variables):
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **variables}
    return json.loads(run_to_end([sys.executable, "-c", DESCRIBE, str(DAGS)], environment).splitlines()[-1])


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return describe(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def bag_with_server(tmp_path_factory):
    return describe(tmp_path_factory.mktemp("airflow"), SEGUE_SUBSONIC_URL="http://localhost:4533")


def test_every_dag_parses_and_is_named_after_its_file(bag):
    assert bag["errors"] == {}
    assert {dag_id: Path(dag["file"]).stem for dag_id, dag in bag["dags"].items()} == {
        name: name
        for name in [
            *PIPELINE_DAGS,
            "encode_remaining_content",
            "set_release",
            "prune_data",
            "export_recommendations",
        ]
    }


def test_a_music_server_adds_tasks(bag, bag_with_server):
    landing, release = (
        {name: set(before) - set(bag["dags"][dag]["upstream"].get(name, ())) for name, before in of["upstream"].items()}
        for dag in (PIPELINE_DAGS[0], PIPELINE_DAGS[3])
        for of in [bag_with_server["dags"][dag]]
    )
    assert {name: before for name, before in landing.items() if before} == {
        "land_server_library": {"land_logs", "request"},
        "land_live_events": {"land_server_library"},
    }
    assert {name: before for name, before in release.items() if before} == {"write_playlists": {"release", "request"}}


def test_each_dag_starts_the_next_by_its_asset(bag):
    dags = bag["dags"]
    assert dags[PIPELINE_DAGS[0]]["schedule"] == "CronTriggerTimetable"
    for before, after in pairwise(PIPELINE_DAGS):
        assert dags[after]["schedule"] == "PartitionedAssetTimetable"
        assert dags[before]["emits"] == dags[after]["triggered_by"] != []


def test_starting_airflow_starts_nothing_before_the_next_midnight(bag):
    assert bag["dags"][PIPELINE_DAGS[0]]["first"] == "2026-01-03T00:00:00+00:00"


def test_result_links_point_to_pages_of_the_console(here, task_catalog, monkeypatch):
    monkeypatch.delenv("SEGUE_HOST", raising=False)
    monkeypatch.delenv("SEGUE_CONSOLE_PORT", raising=False)
    console_home.write_reports(settings.load_settings())
    with console_home.serve_console(settings.load_settings()) as url:
        for name, page in ((task.name, task.page) for task in task_catalog.TASKS.values() if task.page):
            assert f"](http://127.0.0.1:8090/{page})" in task_catalog.format_task_documentation(name)
            response = httpx.get(f"{url}/{page}")
            is_missing_report = response.status_code == 404 and "make run" in response.text
            assert response.status_code in (200, 302) or is_missing_report, page


def test_the_task_table_has_exactly_the_tasks_of_the_dags(bag_with_server, task_catalog):
    tasks = {name.rpartition(".")[2] for dag in bag_with_server["dags"].values() for name in dag["upstream"]}
    assert set(task_catalog.TASKS) == tasks


def test_marts_are_replaced_only_when_no_model_is_trained(bag):
    assert bag["dags"]["build_features"]["upstream"]["build_marts"] == ["marts_are_free", "request"]


@pytest.mark.parametrize(
    ("dag", "task", "after"),
    [("build_features", "compare_features", "apply_features"), ("train_models", "report_experiment", "request")],
)
def test_checks_of_served_requests_do_not_block_the_pipeline(bag, dag, task, after):
    upstream = bag["dags"][dag]["upstream"]
    assert after in upstream[task]
    assert not any(task in tasks for tasks in upstream.values())


@pytest.fixture(scope="module")
def in_dags(tmp_path_factory):
    """Function that imports a module the way Airflow does."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(DAGS))
    yield importlib.import_module
    sys.path.remove(str(DAGS))


def write_program(folder, text):
    """PATH on which the program `python` is this script."""
    program = folder / "python"
    program.write_text(text)
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture(scope="module")
def task_factory(in_dags):
    return in_dags("task_factory")


@pytest.fixture(scope="module")
def task_catalog(in_dags):
    return in_dags("task_catalog")


@pytest.fixture(scope="module")
def set_release(in_dags):
    return in_dags("set_release")


def resolve(task_factory, conf, extras):
    """Run parameters resolved from a run's Params and the `extra` of its triggering events (oldest first)."""
    events = [
        SimpleNamespace(extra=extra, timestamp=datetime(2026, 7, 1, 0, minute, tzinfo=UTC))
        for minute, extra in enumerate(extras)
    ]
    return task_factory.resolve_run_parameters.function(
        are_events_landed=False,
        dag_run=SimpleNamespace(conf=conf, run_type="manual"),
        params={"as_of": None, "recipe": "small", "channels": None, "logs": None},
        triggering_asset_events={"events_ready": events} if events else {},
    )


def test_params_take_precedence_over_events_and_events_over_defaults(task_factory):
    event = {"as_of": "2026-07-01", "recipe": "debug", "channels": ["popularity"], "logs": None}
    resolved = resolve(task_factory, {"as_of": "2026-08-01"}, [event])
    assert resolved == {"AS_OF": "2026-08-01", "RECIPE": "debug", "CHANNELS": "popularity", "LOGS": ""}
    assert resolve(task_factory, {}, []) == {"AS_OF": "", "RECIPE": "small", "CHANNELS": "", "LOGS": ""}


def test_the_newest_of_several_events_of_a_partition_is_used(task_factory):
    events = [{"as_of": "2026-07-01", "recipe": "debug", "logs": name} for name in ("old", "new")]
    assert resolve(task_factory, None, events)["LOGS"] == "new"


@pytest.mark.parametrize(
    ("run_type", "as_of"), [("manual", "2026-07-05"), ("scheduled", "2026-07-03"), ("backfill", "2026-07-03")]
)
def test_a_backfilled_run_uses_no_data_after_its_day(task_factory, monkeypatch, run_type, as_of):
    answers = {(): "2026-07-05", ("--requested", "2026-06-01"): "2026-06-01"}
    monkeypatch.setattr(task_factory, "read_last_output_line", lambda name, module, *requested: answers[requested])
    run = SimpleNamespace(run_type=run_type, logical_date=datetime(2026, 7, 3, tzinfo=UTC))
    assert task_factory.resolve_as_of("", run, "request") == as_of
    assert task_factory.resolve_as_of("2026-06-01", run, "request") == "2026-06-01"


def test_all_tasks_but_those_of_set_release_are_retried(bag):
    # A second rollback would go back one release further.
    assert {dag_id for dag_id, dag in bag["dags"].items() if min(dag["retries"].values()) < 1} == {"set_release"}
    assert set(bag["dags"]["set_release"]["retries"].values()) == {0}


def test_batch_scenes_are_those_of_the_recommender():
    assert tuple(SCENES) == BATCH_SCENES


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"action": "canary", "release": "r2", "share": 0.1}, ["canary", "r2", "--share", "0.1"]),
        ({"action": "canary", "release": "r2", "share": 0}, ["canary", "r2", "--share", "0"]),
        ({"action": "activate", "release": "r2; rm -r x", "share": None}, ["activate", "r2; rm -r x"]),
        ({"action": "rollback", "release": None, "share": None}, ["rollback"]),
    ],
)
def test_set_release_passes_its_params_to_the_command(set_release, tmp_path, params, words):
    variables = set_release.dag.get_task("read_parameters").python_callable(params=params)
    command = set_release.dag.get_task("set_release").bash_command
    path = write_program(tmp_path, f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    called = json.loads(run_to_end(["bash", "-c", command], {"PATH": path} | variables))
    assert called[:3] == ["-m", "local.process_lock", "set_release"]
    assert called[3:] == ["python", "-m", "releases", *words]


@pytest.mark.parametrize("release", ["--help", "-h", "r2; rm -r x", ""])
def test_set_release_rejects_what_is_no_id_of_a_release(set_release, release):
    assert copy(set_release.PARAMS["release"]).resolve("2026-07-01_r2") == "2026-07-01_r2"
    with pytest.raises(ValueError, match="does not match"):
        set_release.PARAMS["release"].resolve(release)


def test_a_retried_export_continues_in_the_folder_of_the_day_of_its_run(in_dags):
    dag = in_dags("export_recommendations").dag
    run = SimpleNamespace(run_after=datetime(2026, 7, 1, 23, 59, tzinfo=UTC))
    variables = dag.get_task("read_scene").python_callable(params={"scene": "mlog"}, dag_run=run)
    command = dag.get_task("write_lists").bash_command.removeprefix("exec")
    environment = {"PATH": "/usr/bin:/bin", "SEGUE_HOME": "/home"} | variables
    assert run_to_end(["bash", "-c", f"echo {command}"], environment).split()[-1] == "/home/batch/mlog/dt=2026-07-01"


@pytest.fixture
def create_command(here, task_factory, monkeypatch):
    """Function that creates the task `name` with another command, in a temporary home."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def create(name, command, **options):
        monkeypatch.setitem(task_factory.TASKS, name, replace(task_factory.TASKS[name], command=command))
        return task_factory.create_command_task(name, {}, **options)

    return create


@pytest.mark.parametrize(
    ("command", "raised"), [("sh -c 'exit 3'", "AirflowFailException"), ("sh -c 'kill -9 $$'", "AirflowException")]
)
def test_a_killed_command_is_retried_and_a_failed_one_is_not(create_command, command, raised):
    task = create_command("prepare", command)
    assert type(task).__name__ == "FailFastCommand"
    with pytest.raises(
        Exception, match=r"exit code (3|-9).*What to do: The log ends with the reason. If the marts are missing"
    ) as error:
        task.execute({})
    assert type(error.value).__name__ == raised


@pytest.mark.parametrize(
    ("command", "raised"), [("exit 2", "AirflowFailException"), ("kill -9 $$", "AirflowException")]
)
def test_a_task_that_reads_the_output_of_a_failed_command_states_the_remedy(
    task_factory, tmp_path, monkeypatch, caplog, command, raised
):
    monkeypatch.setenv("PATH", write_program(tmp_path, f"#!/bin/sh\n{command}\n"))
    monkeypatch.delenv("SEGUE_HOME", raising=False)
    remedy = "What to do: The log names the value that could not be read"
    with pytest.raises(Exception, match=rf"exit code .*{remedy}") as error:
        task_factory.resolve_as_of("", SimpleNamespace(run_type="manual"), "request")
    assert type(error.value).__name__ == raised
    assert remedy in caplog.records[-1].getMessage()
