"""A landing that was killed is completed by the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingestion import landed_tables
from ingestion.land import land
from tests.support.log_sources import PLAY_ROWS, landed, play_log, quarantined

KILLED = """
import os, sys
from pathlib import Path
from ingestion.land import land
left, replace = [int(sys.argv[3])], Path.replace
def replace_or_exit(self, target):
    left[0] -= 1
    if left[0] < 0:
        os._exit(9)
    return replace(self, target)
Path.replace = replace_or_exit
land(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("writes", [0, 1, 4, 8])
def test_next_landing_completes_an_interrupted_one(tmp_path: Path, writes: int) -> None:
    log = play_log(tmp_path / "log", [*PLAY_ROWS, "1,never,1,1,5"])
    command = [sys.executable, "-c", KILLED, str(log), str(tmp_path / "home"), str(writes)]
    assert subprocess.run(command, check=False).returncode == 9
    land(log, tmp_path / "home")
    land(log, tmp_path / "clean")
    for table in ("listening_events", "tracks", "artists"):
        names = [name for name in landed_tables.SCHEMAS[table].names if name != "landed_at"]
        key = list(landed_tables.KEYS[table])
        whole = landed(tmp_path / "clean", table).select(names).sort(key)
        assert landed(tmp_path / "home", table).select(names).sort(key).equals(whole)
    assert quarantined(tmp_path / "home").height == 1
    assert not list((tmp_path / "home").rglob("*.writing")) and not list((tmp_path / "home").rglob("*.duckdb"))
