"""Homes that were copied, and online stores that were lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config import settings
from event_store.opened import open_event_store
from sequences.feast_store import open_store
from sequences.feature_services import ServiceContract
from sequences.online.reader import OnlineReader
from tests.support.pipeline_commands import FEAST, command
from tests.support.sequences.event_rows import event_rows, write_events, write_profiles
from tests.support.sequences.reported_events import reported_event

CLICK = reported_event("e1", "u1", 5, action="click")
PLAYS = [{"event_id": f"{user}0", "user_id": user, "second": 10, "sequence_number": 0} for user in ("a", "b")]
DAY = date(2024, 1, 2)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    use(home, monkeypatch)
    write_events(home / "marts" / "events.parquet", event_rows(PLAYS))
    write_profiles(home / "marts" / "user_profiles.parquet")
    pq.write_table(
        pa.table({"track_id": ["t1"], "duration_ms": pa.array([200_000], pa.int64())}),
        home / "marts" / "tracks.parquet",
    )
    command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
    return home


def use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(home))
    monkeypatch.setenv("SEGUE_MARTS", str(home / "marts"))


def tables(home: Path) -> set[str]:
    connection = sqlite3.connect(home / "feast" / "online.db")
    names = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    connection.close()
    return names


def remove_online_store(home: Path) -> None:
    for path in (home / "feast").glob("online.db*"):
        path.unlink()


def test_apply_in_a_copy_leaves_the_original(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_event_store(settings.load_settings()).append([CLICK])
    before, copy = tables(home), home.with_name("copy")
    # In another process: closing a file here would drop the locks of SQLite connections of this process.
    subprocess.run(["cp", "-r", str(home), str(copy)], check=True)
    use(copy, monkeypatch)
    command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
    assert tables(home) == tables(copy) == before
    assert str(home.parent).encode() not in (copy / "feast" / "registry.db").read_bytes()
    shutil.rmtree(copy)
    use(home, monkeypatch)
    assert list(OnlineReader(open_store()).read("u1").views["recent_clicks"]["track_id"]) == ["t1"]


def test_a_lost_store_is_written_anew(home: Path) -> None:
    materialization = (sys.executable, "-m", "sequences.online.materialize", "--as-of", str(DAY))
    command(settings.load_settings(), *materialization)
    open_event_store(settings.load_settings()).append([CLICK])
    remove_online_store(home)
    (home / "feast" / "online.db").write_bytes(b"damaged " * 1024)
    # The recommender needs the registry to load a release; it answers without the damaged file.
    assert "recent_events" in ServiceContract.of(open_store(), "recommender").sequence_views
    with pytest.raises(AssertionError, match=r"delete .*online\.db\*"):
        command(settings.load_settings(), *materialization)
    remove_online_store(home)
    command(settings.load_settings(), *materialization)
    reader = OnlineReader(open_store())
    assert list(reader.read("a").views["recent_events"]["event_id"]) == ["a0"]
    assert list(reader.read("u1").views["recent_clicks"]["event_id"]) == ["e1"]
