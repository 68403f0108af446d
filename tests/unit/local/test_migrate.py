"""Home format: an old home is rejected with one sentence and can be migrated without losing recorded data."""

from contextlib import nullcontext

import pytest

from local import land, migrate, pipeline, run, services
from local.home import HOME_FORMAT, HomeFormatError, check_home_format
from storage.files import atomic_write

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
        atomic_write(tmp_path / name, name)
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


@pytest.mark.parametrize(
    ("files", "number", "is_older"),
    [
        pytest.param([], 0, None, id="a new home"),
        pytest.param(["training/a"], HOME_FORMAT, None, id="a home of this version"),
        # In a new compose project the recommender starts before the first run.
        pytest.param(
            ["bentoml/prometheus_multiproc_dir/counter_1.db", "feast/registry.db", "serving/events.db"],
            0,
            None,
            id="a home that only services have used",
        ),
        pytest.param(["bentoml/models/segue/a"], 0, True, id="releases without a format"),
        pytest.param([], HOME_FORMAT + 1, False, id="a newer version"),
    ],
)
def test_homes_that_this_version_can_use_are_marked(here, files, number, is_older):
    for name in files:
        atomic_write(here.home / name, "")
    if number:
        atomic_write(here.home / "home_format", f"{number}\n")
    with nullcontext() if is_older is None else pytest.raises(HomeFormatError) as error:
        check_home_format(here)
    assert is_older is (error and error.value.is_older)
    assert is_older is not None or (here.home / "home_format").read_text() == f"{HOME_FORMAT}\n"


def test_a_home_of_a_newer_version_is_never_migrated(old_home, capsys):
    (old_home.home / "home_format").write_text(f"{HOME_FORMAT + 1}\n")
    assert migrate.main() == 1
    assert "newer version" in capsys.readouterr().err
    assert all((old_home.home / name).exists() for name in DERIVED)
