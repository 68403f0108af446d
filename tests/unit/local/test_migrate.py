"""Home format: an old home is rejected with one sentence and can be migrated without losing recorded data."""

import hmac
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import polars as pl
import pytest

from config import settings
from event_store.opened import now_us, open_event_store, open_serving_state
from event_store.store import DAY_US
from ingestion import land as ingestion_land
from local import land, migrate, pipeline, run, services
from local.home import HOME_FORMAT, HomeFormatError, check_home_format
from local.run_parameters import RunParameters
from storage.suppression_list import SuppressionList
from tests.support.log_sources import event, json_lines
from tests.support.recorded import shown

NOW_US = now_us() - 60_000_000

DERIVED = (
    "training/2026-07-01-debug/final/channels/realtime/inputs.json",
    "bentoml/models/segue/r1/manifest.json",
    "bentoml/active.json",
    "feast/registry.db",
    "feast/online.db",
    "marts/plays.parquet",
    "built/plays.parquet",
    "dbt/target/manifest.json",
    "warehouse.duckdb",
    "warehouse.duckdb.wal",
    "warehouse.spill/1.tmp",
    "cache/marts/plays.parquet",
    "study/cell.json",
)
KEPT = (
    "landing/listening_events/dt=2026-06-01/a.parquet",
    "requests/dt=2026-06-01/requests-1.jsonl",
    "quarantine/plays/dt=2026-06-01/a.parquet",
    "serving/other.json",
    "forgotten.json",
    "simulated/debug/complete",
    "airflow/passwords.json",
    "mlflow/mlflow.db",
    "reports/evaluation.json",
    "notes.txt",
)


@pytest.fixture
def old_home(here, tmp_path):
    """A home of the previous version, which had no `home_format` file."""
    for name in (*DERIVED, *KEPT):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return here


@pytest.mark.parametrize(
    "start",
    [services.start, *(lambda here, module=module: module.run(here, RunParameters()) for module in (run, pipeline))],
)
def test_an_old_home_is_rejected_before_anything_starts(old_home, monkeypatch, start):
    monkeypatch.setattr(services.process, "start", lambda *_, **__: pytest.fail("a service was started"))
    monkeypatch.setattr(pipeline, "airflow_environment", lambda _: pytest.fail("a run was started"))
    with pytest.raises(
        HomeFormatError, match=r"written by an earlier version.*`python -m local.migrate` once"
    ) as error:
        start(old_home)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("main", [run.main, pipeline.main, land.main, lambda _: services.main(["start"])])
def test_commands_print_the_remedy_without_a_traceback(old_home, capsys, main):
    assert main([]) != 0
    assert "run `python -m local.migrate` once" in capsys.readouterr().err


def test_migration_removes_derived_state_and_keeps_the_rest(old_home, capsys):
    (old_home.home / "home_format").write_text(f"{HOME_FORMAT - 1}\n")
    assert migrate.main() == 0
    assert "removed from" in capsys.readouterr().out
    assert [name for name in DERIVED if (old_home.home / name).exists()] == []
    assert [name for name in KEPT if (old_home.home / name).read_text() != name] == []
    check_home_format(old_home)
    assert migrate.main() == 0
    assert "has the current format" in capsys.readouterr().out


def test_records_of_earlier_formats_are_moved_into_the_stores(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    here = settings.load_settings()
    events = [event(number, occurred_at=at_us, ended_at=at_us) for number, at_us in enumerate([NOW_US] * 3)]
    play = event(
        3, user_id="u2", action="play", occurred_at=NOW_US, ended_at=NOW_US, played_ms=90_000, sequence_number=7
    )
    earlier = event(4, user_id="erased", occurred_at=NOW_US, ended_at=NOW_US)
    ingestion_land.land(json_lines(tmp_path / "own.jsonl", [events[0]]), here.home)
    today = f"dt={datetime.now(UTC):%Y-%m-%d}"
    json_lines(here.home / "live" / today / "events-1-1.jsonl", [*events[:2], earlier])
    json_lines(
        here.home / "live" / "recommender-1" / today / "events-2-1.jsonl", [events[2], play, '{"event_id": "torn']
    )
    json_lines(here.home / "live" / today / "exposures-1-1.jsonl", [shown(1), shown(2)])
    here.marts.mkdir()
    pl.DataFrame({"track_id": ["t1"], "duration_ms": [100_000]}).write_parquet(here.marts / "tracks.parquet")
    serving, key = here.serving_folder, bytes(range(32))
    serving.mkdir()
    (serving / "private_events.key").write_bytes(key)
    (serving / "reserved_numbers").write_text(str(NOW_US * 2))
    with closing(sqlite3.connect(serving / "private_sessions.sqlite")) as database:
        database.execute("create table private_sessions (user_id text, since_us integer, until_us integer)")
        database.execute("insert into private_sessions values ('u1', ?, ?)", (NOW_US - 1, NOW_US + 3_600_000_000))
        database.execute("create table private_events (code blob, day integer)")
        code = hmac.digest(key, b"private", "sha256")
        database.execute("insert into private_events values (?, ?)", (code, NOW_US // DAY_US))
        database.commit()
    with closing(sqlite3.connect(serving / "daily_lists.sqlite")) as database:
        database.execute("create table daily_lists (user_id text, day integer, discovery text, tracks text)")
        database.execute("insert into daily_lists values ('u1', ?, '', '[1]')", (NOW_US // DAY_US,))
        database.commit()
    SuppressionList().with_users(["erased"]).write(here.suppression_list)
    (here.home / "home_format").write_text("6\n")
    with pytest.raises(HomeFormatError):
        check_home_format(here)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_remove", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            migrate.migrate(here)
    migrate.migrate(here)
    with closing(open_event_store(here)) as store, closing(open_serving_state(here)) as state:
        stored = {one["event_id"]: one for _, one in store.read(None, 9)}
        assert sorted(stored) == ["e1", "e2", "e3"]
        assert (stored["e3"]["behaviour"], stored["e3"]["played_ratio"], stored["e3"]["sequence_number"]) == (
            "full_play",
            0.9,
            7,
        )
        assert store.private_session("u1") and not store.private_session("u2")
        again = [
            one | {"behaviour": "full_play", "played_ratio": None} for one in (play, play | {"event_id": "private"})
        ]
        new = play | {"event_id": "new", "sequence_number": None, "behaviour": "skip", "played_ratio": None}
        assert store.append([*again, new]).duplicate == 2
        assert store.of_user("u2").events[-1]["sequence_number"] == NOW_US * 2 + 1
        assert {row["request_id"] for _, row in state.read_exposures(None, 9)} == {"r1", "r2"}
        assert state.read_lists("u1", 0) == [(NOW_US // DAY_US, "", "[1]")]
    names = {path.name for path in serving.iterdir()} | {path.name for path in here.home.iterdir()}
    assert not names & {
        "live",
        "private_sessions.sqlite",
        "daily_lists.sqlite",
        "private_events.key",
        "reserved_numbers",
    }
    check_home_format(here)


@pytest.mark.parametrize("folder", ["live/dt=2026-06-01", "bentoml/models/segue"])
def test_records_and_releases_without_a_format_are_of_an_earlier_one(here, folder):
    (here.home / folder).mkdir(parents=True)
    with pytest.raises(HomeFormatError):
        check_home_format(here)


def test_a_new_home_is_marked_and_stays_usable_with_derived_state(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "new"))
    here = settings.load_settings()
    check_home_format(here)
    (here.home / "training").mkdir()
    check_home_format(here)
    assert migrate.migrate(here) == []
    assert (here.home / "training").exists()


def test_a_home_that_only_services_have_used_is_not_old(here, tmp_path):
    """In a new compose project the recommender starts before the first run."""
    for name in ("bentoml/prometheus_multiproc_dir/counter_1.db", "feast/registry.db", "serving/events.db"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "bentoml" / "models").mkdir()
    check_home_format(here)
    assert (tmp_path / "home_format").read_text() == f"{HOME_FORMAT}\n"


def test_a_home_of_a_newer_version_is_never_migrated(old_home, capsys):
    (old_home.home / "home_format").write_text(f"{HOME_FORMAT + 1}\n")
    assert migrate.main() == 1
    assert "newer version" in capsys.readouterr().err
    assert all((old_home.home / name).exists() for name in DERIVED)
