"""The DAGs parse, stay thin, and pass Params on as they promise."""

import ast
import importlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from config import settings
from tests.support import console_home

DAGS = Path(__file__).parents[3] / "dags"
LINE = ["ingest_listening_logs", "build_features", "train_models", "release_models"]

DESCRIBE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
sys.path.insert(0, sys.argv[1])

def first_run(dag):
    # By an Airflow that is new and starts five minutes after a midnight
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction
    from pendulum import datetime
    trigger.utcnow = lambda: datetime(2026, 1, 2, 0, 5)
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    asked = {"last_automated_data_interval": None, "restriction": TimeRestriction(None, None, False)}
    return timetable.next_dagrun_info(**asked).run_after.isoformat()

def links_kept(dag):
    # What the UI has: the DAG as Airflow stores it
    from airflow.serialization.serialized_objects import DagSerialization
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    return {task.task_id: {link.name: link.xcom_key for link in task.operator_extra_links} for task in stored.tasks}

def weights(dag):
    # What the scheduler orders by, which has the DAG as Airflow stores it
    from types import SimpleNamespace
    from airflow.serialization.serialized_objects import DagSerialization
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    return {task.task_id: task.weight_rule.get_weight(SimpleNamespace(task=task)) for task in stored.tasks}

bag = DagBag(sys.argv[1])
print(json.dumps({
    "errors": bag.import_errors,
    "dags": {
        dag_id: {
            "file": dag.fileloc,
            "doc": dag.doc_md or "",
            "undescribed_params": [name for name in dag.params if not dag.params.get_param(name).description],
            "undocumented_tasks": [task.task_id for task in dag.tasks if "**If it fails:** " not in (task.doc_md or "")],
            "unlinked_tasks": [task.task_id for task in dag.tasks if not list(task.operator_extra_links)],
            "links_kept": links_kept(dag),
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "schedule": type(dag.timetable).__name__,
            "hears": [dag.timetable.asset_condition.name]
            if getattr(dag.timetable, "asset_condition", None) else [],
            "first": first_run(dag) if "Cron" in type(dag.timetable).__name__ else None,
            "says": [outlet.name for task in dag.tasks for outlet in task.outlets],
            "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
            "retries": {task.task_id: task.retries for task in dag.tasks},
            "weights": weights(dag),
        }
        for dag_id, dag in bag.dags.items()
    },
}, default=str))
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, str(DAGS)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_dag_parses_and_is_named_after_its_file(bag):
    assert bag["errors"] == {}
    assert {dag_id: Path(dag["file"]).stem for dag_id, dag in bag["dags"].items()} == {
        name: name for name in [*LINE, "set_release"]
    }


def test_each_dag_starts_the_next_by_its_asset(bag):
    dags = bag["dags"]
    assert dags[LINE[0]]["schedule"] == "CronTriggerTimetable"
    for before, after in pairwise(LINE):
        assert dags[after]["schedule"] == "PartitionedAssetTimetable"
        assert dags[before]["says"] == dags[after]["hears"] != []


def test_starting_airflow_starts_nothing_before_the_next_midnight(bag):
    assert bag["dags"][LINE[0]]["first"] == "2026-01-03T00:00:00+00:00"


def test_a_person_finds_documentation_on_every_dag_param_and_task(bag):
    for dag in bag["dags"].values():
        assert dag["doc"].startswith("###")
        assert dag["undescribed_params"] == []
        assert dag["undocumented_tasks"] == []
        assert "it fails" in dag["doc"] or "fails and says why" in dag["doc"]


def test_every_task_leads_to_what_it_made_but_the_one_that_makes_nothing(bag):
    unlinked = [task for dag in bag["dags"].values() for task in dag["unlinked_tasks"]]
    assert unlinked == ["marts_are_free"]
    kept = {task: links for dag in bag["dags"].values() for task, links in dag["links_kept"].items()}
    assert {"channels.train_channel", "request", "announce_events_ready", "release", "set_release"} <= set(kept)
    assert {tuple(links) for task, links in kept.items() if task != "marts_are_free"} == {("What it made",)}


def test_a_link_leads_to_a_page_that_the_reading_room_has(line_tasks, in_dags, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.delenv("SEGUE_HOST", raising=False)
    monkeypatch.delenv("SEGUE_PAGES_PORT", raising=False)
    console_home.write_reports(settings.load_settings())
    links, key = in_dags("line_links"), SimpleNamespace(dag_id="d", run_id="manual__1", task_id="request")
    with console_home.opened(settings.load_settings()) as url:
        for task_id, page in links.PAGES.items():
            task = SimpleNamespace(task_id=f"group.{task_id}")
            address = links.WhatItMade().get_link(task, ti_key=key)
            if page.startswith("/"):
                assert address in ("/dags/d/runs/manual__1/tasks/request/xcom", "/assets")
                continue
            assert address == f"http://127.0.0.1:8090/{page}"
            path, _, anchor = page.partition("#")
            answer = httpx.get(f"{url}/{path}")
            is_told = answer.status_code == 404 and "not made yet: <code>make" in answer.text
            assert answer.status_code == 200 or is_told, page
            assert not anchor or f'id="{anchor}"' in answer.text
        assert httpx.get(f"{url}/reports/nothing.html").status_code == 404


def test_in_a_container_a_link_leads_to_this_machine(in_dags, monkeypatch):
    monkeypatch.setenv("SEGUE_HOST", "0.0.0.0")
    monkeypatch.setenv("SEGUE_PAGES_PORT", "9999")
    link = in_dags("line_links").WhatItMade()
    assert link.get_link(SimpleNamespace(task_id="evaluate"), ti_key=None).startswith("http://localhost:9999/reports/")


def test_remedies_and_links_are_of_tasks_that_there_are(bag, in_dags):
    tasks = {name.rpartition(".")[2] for dag in bag["dags"].values() for name in dag["upstream"]}
    assert set(in_dags("line_remedies").REMEDIES) == tasks
    assert set(in_dags("line_links").PAGES) == tasks - {"marts_are_free"}


def test_one_run_at_a_time_because_runs_share_the_marts(bag):
    assert {(dag["max_active_runs"], dag["catchup"]) for dag in bag["dags"].values()} == {(1, False)}


def test_marts_are_replaced_only_when_no_model_is_trained_from_them(bag):
    assert bag["dags"]["build_features"]["upstream"]["build_marts"] == ["marts_are_free", "request"]


@pytest.mark.parametrize(
    ("dag", "task", "after"),
    [("build_features", "compare_features", "apply_features"), ("train_models", "report_experiment", "request")],
)
def test_what_was_served_is_judged_beside_the_line(bag, dag, task, after):
    upstream = bag["dags"][dag]["upstream"]
    assert after in upstream[task]
    assert not any(task in tasks for tasks in upstream.values())


@pytest.mark.parametrize(("dag", "last"), [("train_models", "evaluate"), ("release_models", "release")])
@pytest.mark.parametrize("kind", ["container", "head"])
def test_what_learns_from_channels_waits_for_them_and_not_for_rankers(bag, kind, dag, last):
    upstream = bag["dags"][dag]["upstream"]
    assert "channels.train_channel" in upstream[f"{kind}s.train_{kind}"]
    assert "rankers.train_ranker" not in upstream[f"{kind}s.train_{kind}"]
    assert f"{kind}s.train_{kind}" in upstream[last]


@pytest.mark.parametrize("dag", ["train_models", "release_models"])
def test_tables_are_read_before_anything_is_trained_and_channels_are_trained_first(bag, dag):
    upstream, weight = bag["dags"][dag]["upstream"], bag["dags"][dag]["weights"]
    kinds = ("channel", "container", "ranker", "head")
    assert upstream["list_models"] == ["request"]
    assert all(upstream[f"{kind}s.list_{kind}s"] == ["list_models", "request"] for kind in kinds)
    assert weight["channels.train_channel"] > weight["heads.train_head"] > weight["rankers.train_ranker"]


def test_nothing_is_announced_before_the_work_is_done(bag):
    upstream = bag["dags"]["release_models"]["upstream"]
    assert "release" in upstream["announce_release_ready"]
    assert {"channels.train_channel", "rankers.train_ranker"} <= set(upstream["release"])


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.name)
def test_a_dag_file_is_thin_and_knows_airflow_and_the_standard_library_only(path):
    source = path.read_text()
    siblings = {file.stem for file in DAGS.glob("*.py")}
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= sys.stdlib_module_names | {"airflow"} | siblings
    if path.stem in LINE:
        assert len(source.splitlines()) < 80


@pytest.fixture(scope="module")
def in_dags(tmp_path_factory):
    """Imports a module as Airflow does."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(DAGS))
    yield importlib.import_module
    sys.path.remove(str(DAGS))


@pytest.fixture(scope="module")
def line_tasks(in_dags):
    return in_dags("line_tasks")


@pytest.fixture(scope="module")
def set_release(in_dags):
    return in_dags("set_release")


def asked_of(line_tasks, conf, extras):
    """What `request` makes of a run's Params and of the events that started it, oldest first."""
    events = [
        SimpleNamespace(extra=extra, timestamp=datetime(2026, 7, 1, 0, minute, tzinfo=UTC))
        for minute, extra in enumerate(extras)
    ]
    return line_tasks.asked_of_run.function(
        are_events_landed=False,
        dag_run=SimpleNamespace(conf=conf, run_type="manual"),
        params={"as_of": None, "recipe": "small", "channels": None, "logs": None},
        triggering_asset_events={"events_ready": events} if events else {},
    )


def test_param_before_event_before_default(line_tasks):
    event = {"as_of": "2026-07-01", "recipe": "debug", "channels": ["popularity"], "logs": None}
    asked = asked_of(line_tasks, {"as_of": "2026-08-01"}, [event])
    assert asked == {"AS_OF": "2026-08-01", "RECIPE": "debug", "CHANNELS": "popularity", "LOGS": ""}
    assert asked_of(line_tasks, {}, []) == {"AS_OF": "", "RECIPE": "small", "CHANNELS": "", "LOGS": ""}


def test_the_newest_of_several_events_for_one_partition_counts(line_tasks):
    events = [{"as_of": "2026-07-01", "recipe": "debug", "logs": name} for name in ("old", "new")]
    assert asked_of(line_tasks, None, events)["LOGS"] == "new"


@pytest.mark.parametrize(
    ("run_type", "as_of"), [("manual", "2026-07-05"), ("scheduled", "2026-07-03"), ("backfill", "2026-07-03")]
)
def test_a_backfilled_day_does_not_look_beyond_itself(line_tasks, monkeypatch, run_type, as_of):
    monkeypatch.setattr(line_tasks, "read_last_output_line", lambda *_: "2026-07-05")
    run = SimpleNamespace(run_type=run_type, logical_date=datetime(2026, 7, 3, tzinfo=UTC))
    assert line_tasks.settled_as_of("", run, "request") == as_of
    assert line_tasks.settled_as_of("2026-06-01", run, "request") == "2026-06-01"


def test_every_task_of_the_line_is_tried_again_when_it_was_killed(bag):
    # A rollback is not: the second would go one further back.
    assert {dag_id for dag_id, dag in bag["dags"].items() if min(dag["retries"].values()) < 1} == {"set_release"}
    assert set(bag["dags"]["set_release"]["retries"].values()) == {0}


def test_only_a_person_sets_a_release(bag):
    assert (bag["dags"]["set_release"]["schedule"], bag["dags"]["set_release"]["hears"]) == ("NullTimetable", [])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"action": "canary", "release": "r2", "share": 0.1}, ["canary", "r2", "--share", "0.1"]),
        ({"action": "canary", "release": "r2", "share": 0}, ["canary", "r2", "--share", "0"]),
        ({"action": "activate", "release": "r2; rm -r x", "share": None}, ["activate", "r2; rm -r x"]),
        ({"action": "rollback", "release": None, "share": None}, ["rollback"]),
    ],
)
def test_set_release_calls_the_command_with_what_was_asked(set_release, tmp_path, params, words):
    asked = set_release.dag.get_task("asked").python_callable(params=params)
    line = set_release.dag.get_task("set_release").bash_command
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", line],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"} | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    called = json.loads(done.stdout)
    assert called[:3] == ["-m", "local.process_lock", "set_release"]
    assert called[3:] == ["python", "-m", "training.release", *words]


@pytest.mark.parametrize(
    ("line", "ending"), [("sh -c 'exit 3'", "AirflowFailException"), ("sh -c 'kill -9 $$'", "AirflowException")]
)
def test_a_command_that_says_no_has_answered_and_a_killed_one_has_not(line_tasks, tmp_path, monkeypatch, line, ending):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    task = line_tasks.command("prepare", line, "A command.", {})
    assert type(task).__name__ == "FinalCommand"
    with pytest.raises(
        Exception, match=r"exit code (3|-9).*What to do: the log ends with the reason. No marts: "
    ) as error:
        task.execute({})
    assert type(error.value).__name__ == ending


def test_a_command_that_is_tried_again_says_what_to_do_as_well(line_tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    task = line_tasks.command("materialize", "false", "A command.", {}, operator=line_tasks.Command)
    with pytest.raises(Exception, match=r"exit code 1.*What to do: the online store") as error:
        task.execute({})
    assert type(error.value).__name__ == "AirflowException"


def test_a_task_that_failed_on_a_full_disk_says_so_first(line_tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(line_tasks, "DISK_FULL_BYTES", 1 << 62)
    task = line_tasks.command("prepare", "false", "A command.", {})
    with pytest.raises(
        Exception, match=r"What to do: the disk of SEGUE_HOME=.* is full: free some.* Otherwise the log"
    ):
        task.execute({})


@pytest.mark.parametrize(("ends", "ending"), [("exit 2", "AirflowFailException"), ("kill -9 $$", "AirflowException")])
def test_a_task_that_asks_a_command_says_what_to_do_when_it_has_no_answer(
    line_tasks, tmp_path, monkeypatch, caplog, ends, ending
):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{ends}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("SEGUE_HOME", raising=False)
    with pytest.raises(Exception, match=r"exit code .*What to do: the log says what could not be read") as error:
        line_tasks.settled_as_of("", SimpleNamespace(run_type="manual"), "request")
    assert type(error.value).__name__ == ending
    assert "What to do: the log says what could not be read" in caplog.records[-1].getMessage()


def test_a_channel_that_there_is_not_is_named_where_it_was_asked_for(in_dags, monkeypatch, caplog):
    monkeypatch.delenv("SEGUE_HOME", raising=False)
    with in_dags("airflow.sdk").DAG("of_channels"):
        trained = in_dags("line_tasks").train_every("channel", {}, {}, "held_out")
    names = trained.dag.get_task("channels.list_channels").python_callable
    tables = {"channels": ["popularity", "realtime"]}
    assert [one["NAME"] for one in names({"CHANNELS": "realtime"}, tables)] == ["realtime"]
    with pytest.raises(
        Exception, match=r"no channel popularty, but popularity, realtime. What to do: a name in"
    ) as error:
        names({"CHANNELS": "popularty realtime"}, tables)
    assert type(error.value).__name__ == "AirflowFailException"
    assert caplog.records[-1].getMessage() == str(error.value)
