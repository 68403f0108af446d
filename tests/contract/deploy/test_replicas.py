"""Event logs and states of several replicas in one home are landed, pruned, erased from and backed up together."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from config.settings import Lifetimes, Settings, load_settings
from ingestion.land import land
from local.recovery.backup import backup
from local.retention.removals import find_removals
from privacy import recommender_files
from privacy.suppressed_users import find_suppressed_users
from storage.suppression_list import SuppressionList

DAY_US = 1_780_272_000_000_000  # 2026-06-01


def like(event_id: str) -> dict[str, Any]:
    event = {"event_id": event_id, "user_id": "u", "sequence_number": 0, "target_type": "track", "target_id": "t"}
    return event | {"occurred_at": DAY_US, "ended_at": DAY_US, "action": "like"}


def test_the_log_of_every_replica_is_landed(tmp_path: Path) -> None:
    for replica in ("recommender-0", "recommender-1"):
        folder = tmp_path / "live" / replica / "dt=2026-06-01"
        folder.mkdir(parents=True)
        (folder / "events-00000000000000001-1.jsonl").write_text(json.dumps(like(replica)) + "\n")
        shown = {"request_id": f"q-{replica}", "user_id": "u", "scene": "daily", "shown_at": DAY_US, "release": "r"}
        shown |= {"arm": "r", "features_hash": "h", "items": []}
        (folder / "exposures-00000000000000001-1.jsonl").write_text(json.dumps(shown) + "\n")
    land(tmp_path / "live", tmp_path)
    files = sorted((tmp_path / "landing" / "listening_events").glob("dt=2026-06-01/*.parquet"))
    landed = {event for file in files for event in pq.read_table(file)["event_id"].to_pylist()}
    assert landed == {"recommender-0", "recommender-1"}


def test_users_are_erased_from_the_files_of_every_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    here = load_settings()
    for replica in ("recommender-0", "recommender-1"):
        (here.event_log / replica / "dt=2026-06-01").mkdir(parents=True)
        (here.event_log / replica / "dt=2026-06-01" / "events-1-1.jsonl").write_text(json.dumps(like(replica)) + "\n")
        (here.home / "serving" / replica).mkdir(parents=True)
        with sqlite3.connect(here.home / "serving" / replica / "daily_lists.sqlite") as database:
            database.execute("create table daily_lists (user_id text)")
            database.execute("insert into daily_lists values ('u')")
    SuppressionList().with_users(["u"]).write(here.suppression_list)
    assert find_suppressed_users(here) == ["u"]
    counts = recommender_files.erase_users(["u"], here)
    assert (counts["event log"], counts["daily lists"]) == ({"u": 2}, {"u": 2})
    assert find_suppressed_users(here) == []


def test_the_log_of_every_replica_is_pruned_when_it_is_in_the_online_store(tmp_path: Path) -> None:
    here, now = Settings(home=tmp_path / "home"), datetime.now(UTC)
    old = (now - timedelta(days=60)).timestamp()
    for replica in ("recommender-0", "recommender-1"):
        log = here.event_log / replica / f"dt={now - timedelta(days=60):%Y-%m-%d}" / "events-1-1.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps(like(replica)) + "\n")
        os.utime(log, (old, old))
    state = here.home / "serving" / "recommender-0"
    state.mkdir(parents=True)
    (state / "pushed.json").write_text(json.dumps({"file": "dt=2026-06-10/events-2-1.jsonl", "offset": 9}))
    with sqlite3.connect(state / "daily_lists.sqlite") as database:
        database.execute("create table daily_lists (user_id text)")
    (here.home / "home_format").write_text("2\n")
    land(here.event_log, here.home)
    here.feast.mkdir()
    (here.feast / "materialized.jsonl").write_text(json.dumps({"as_of_us": int(now.timestamp() * 1e6)}) + "\n")
    (removal,) = find_removals(here, Lifetimes(workspaces=0, releases=0, reports=0), now + timedelta(hours=1))
    assert removal.path.relative_to(here.event_log).parts[0] == "recommender-0"
    manifest = backup(here, tmp_path / "backup")
    assert {"serving/recommender-0/pushed.json", "serving/recommender-0/daily_lists.sqlite"} <= manifest.files.keys()
