"""Homes that were copied, and online stores that were lost: the original is unchanged, and one command rebuilds the store."""

from __future__ import annotations

import json
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
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.online.rebuild import RebuildError, rebuild
from serving.events.write_ahead_log import EventLog
from storage.suppression_list import SuppressionList
from tests.support.pipeline_commands import FEAST, command
from tests.support.sequences.event_rows import event_rows, write_events, write_profiles
from training.data.feature_services import ServiceContract

CLICK = {"event_id": "e1", "target_type": "track", "target_id": "t1", "action": "click", "occurred_at": 10**15}
PLAYS = [{"event_id": f"{user}0", "user_id": user, "second": 10, "sequence_number": 0} for user in ("a", "b")]
DAY = date(2024, 1, 2)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("SEGUE_ONLINE_STORE", "SEGUE_REDIS", "SEGUE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    use(home, monkeypatch)
    write_events(home / "marts" / "events.parquet", event_rows(PLAYS))
    write_profiles(home / "marts" / "user_profiles.parquet")
    tracks = pa.table({"track_id": ["t1"], "duration_ms": pa.array([200_000], pa.int64())})
    pq.write_table(tracks, home / "marts" / "tracks.parquet")
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


def test_apply_in_a_copy_leaves_the_original_and_restores_dropped_tables(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OnlineWriter(open_store(), lambda _: None).apply("u1", [CLICK])
    before, copy = tables(home), home.with_name("copy")
    # In another process: closing a file here would drop the locks of SQLite connections of this process.
    subprocess.run(["cp", "-r", str(home), str(copy)], check=True)
    use(copy, monkeypatch)
    command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
    assert tables(home) == tables(copy) == before
    assert open_store().get_feature_view("recent_clicks").batch_source.path == str(copy / "marts" / "events.parquet")
    shutil.rmtree(copy)
    use(home, monkeypatch)
    assert list(OnlineReader(open_store()).read("u1").views["recent_clicks"]["track_id"]) == ["t1"]

    connection = sqlite3.connect(home / "feast" / "online.db")
    for name in before:
        connection.execute(f"drop table {name}")
    connection.close()
    command(settings.load_settings(), sys.executable, "-m", "sequences.online.materialize", "--as-of", str(DAY))
    assert tables(home) == before
    assert list(OnlineReader(open_store()).read("a").views["recent_events"]["event_id"]) == ["a0"]
    (home / "feast" / "online.db").unlink()
    command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
    assert tables(home) == before


def test_rebuild_restores_both_parts_without_erased_users(home: Path) -> None:
    command(settings.load_settings(), sys.executable, "-m", "sequences.online.materialize", "--as-of", str(DAY))
    SuppressionList().with_users(["gone"]).write(home / "forgotten.json")
    log = home / "live" / "dt=2024-01-02" / "events-1-1.jsonl"
    log.parent.mkdir(parents=True)
    play = CLICK | {"event_id": "p", "user_id": "a", "action": "play", "played_ms": 199_000, "occurred_at": 2 * 10**15}
    invalid = play | {"event_id": "bad", "occurred_at": "soon"}
    rows = [CLICK | {"user_id": "a"}, play, invalid, CLICK | {"user_id": "gone"}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + " " * 20 + "\n" + '{"event_id": "torn')
    (home / "feast" / "online.db").write_bytes(b"damaged " * 1024)
    for suffix in ("-wal", "-shm"):
        (home / "feast" / f"online.db{suffix}").unlink(missing_ok=True)
    # The recommender needs the registry to load a release; it answers without the damaged file.
    assert "recent_events" in ServiceContract.of(open_store(), "recommender").sequence_views
    for name in ("online.db", "registry.db", "materialized-sqlite.db"):
        (home / "feast" / name).write_bytes(b"damaged " * 1024)
    rebuilt = rebuild(settings.load_settings())
    assert (rebuilt.events, rebuilt.invalid) == (2, 1)
    assert rebuilt.rows["recent_events"] == 2
    reader = OnlineReader(open_store())
    assert list(reader.read("a").views["recent_clicks"]["event_id"]) == ["e1"]
    assert list(reader.read("a").views["recent_events"]["event_id"]) == ["e1", "a0", "p"]
    assert list(reader.read("a").views["recent_events"]["behaviour"])[-1] == "full_play"
    assert list(reader.read("gone").views["recent_clicks"]["event_id"]) == []


def test_rebuild_needs_a_stopped_recommender_and_a_day(home: Path) -> None:
    here = settings.load_settings()
    with pytest.raises(RebuildError, match="--as-of"):
        rebuild(here)
    log = EventLog(here.event_log, here.home / "serving", lambda: 1)
    try:
        with pytest.raises(RebuildError, match="make stop"):
            rebuild(here, DAY)
    finally:
        log.close()
    assert tables(home)
