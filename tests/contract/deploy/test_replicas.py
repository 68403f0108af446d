"""Event logs of several replicas in one home are landed together."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from ingestion.land import land

DAY_US = 1_780_272_000_000_000  # 2026-06-01


def test_the_log_of_every_replica_is_landed(tmp_path: Path) -> None:
    for replica in ("recommender-0", "recommender-1"):
        folder = tmp_path / "live" / replica / "dt=2026-06-01"
        folder.mkdir(parents=True)
        event = {"event_id": replica, "user_id": "u", "sequence_number": 0, "target_type": "track", "target_id": "t"}
        event |= {"occurred_at": DAY_US, "ended_at": DAY_US, "action": "like"}
        (folder / "events-00000000000000001-1.jsonl").write_text(json.dumps(event) + "\n")
        shown = {"request_id": f"q-{replica}", "user_id": "u", "scene": "daily", "shown_at": DAY_US, "release": "r"}
        shown |= {"arm": "r", "features_hash": "h", "items": []}
        (folder / "exposures-00000000000000001-1.jsonl").write_text(json.dumps(shown) + "\n")
    land(tmp_path / "live", tmp_path)
    files = sorted((tmp_path / "landing" / "listening_events").glob("dt=2026-06-01/*.parquet"))
    landed = {event for file in files for event in pq.read_table(file)["event_id"].to_pylist()}
    assert landed == {"recommender-0", "recommender-1"}
