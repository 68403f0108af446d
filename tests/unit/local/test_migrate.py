"""Home format: an old home is rejected with one sentence and can be migrated without losing recorded data."""

import pytest

from config import settings
from local import land, migrate, pipeline, run, services
from local.home import HOME_FORMAT, HomeFormatError, check_home_format

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
    "suppression_list.json",
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


@pytest.mark.parametrize("main", [run.main, pipeline.main, land.main, lambda _: services.main(["start"])])
def test_commands_reject_an_old_home_in_one_line_before_anything_starts(old_home, monkeypatch, capsys, main):
    monkeypatch.setattr(services.process, "start", lambda *_, **__: pytest.fail("a service was started"))
    monkeypatch.setattr(pipeline, "airflow_environment", lambda _: pytest.fail("a run was started"))
    monkeypatch.setattr(land.ingestion.land, "main", lambda *_: pytest.fail("logs were landed"))
    assert main([]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "an earlier version of Segue; run `python -m local.migrate` once" in line


def test_migration_removes_derived_state_and_keeps_the_rest(old_home, capsys):
    (old_home.home / "home_format").write_text(f"{HOME_FORMAT - 1}\n")
    assert migrate.main() == 0
    assert "removed from" in capsys.readouterr().out
    assert [name for name in DERIVED if (old_home.home / name).exists()] == []
    assert [name for name in KEPT if (old_home.home / name).read_text() != name] == []
    check_home_format(old_home)
    assert migrate.main() == 0
    assert "has the current format" in capsys.readouterr().out


def test_releases_without_a_format_are_of_an_earlier_one(here):
    (here.home / "bentoml" / "models" / "segue").mkdir(parents=True)
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
