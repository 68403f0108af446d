"""Logs of the recommender are landed although their first users, or all users, were erased before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingestion import source_files
from ingestion.land import land
from privacy.recommender_files import erase_lines
from tests.support.log_sources import event, json_lines, landed

SHOWN = {
    "scene": "daily",
    "shown_at": "2026-05-01T10:00:00Z",
    "release": "v1",
    "arm": "v1",
    "items": [{"target_type": "track", "target_id": "t", "position": 0, "propensity": 1.0, "is_exploration": False}],
}


@pytest.mark.parametrize(("erased", "left"), [(["u0"], ["u1", "u2"]), (["u0", "u1", "u2"], [])])
def test_events_of_others_are_landed(tmp_path: Path, erased: list[str], left: list[str]) -> None:
    live = tmp_path / "home" / "live"
    log = json_lines(live / "dt=2026-05-01" / "events-1-1.jsonl", [event(n, user_id=f"u{n}") for n in range(3)])
    erase_lines(log, erased)
    assert land(live, tmp_path / "home")["own_events"].landed == len(left)
    if left:
        assert landed(tmp_path / "home")["user_id"].to_list() == left


def test_exposures_of_others_are_landed_after_many_erased_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = tmp_path / "home" / "live"
    users = ["erased"] * (source_files.PEEK_BYTES // 100) + ["bob"]
    records = [SHOWN | {"request_id": f"r{number}", "user_id": user} for number, user in enumerate(users)]
    log = json_lines(live / "dt=2026-05-01" / "exposures-1-1.jsonl", records)
    erase_lines(log, ["erased"])
    assert log.read_text().index(json.dumps(records[-1])) > source_files.PEEK_BYTES
    assert land(live, tmp_path / "home")["exposure_log"].landed == 2
    assert landed(tmp_path / "home", "exposures")["user_id"].to_list() == ["bob"]
    erase_lines(log, ["bob"])
    land(live, tmp_path / "home")
    assert "unknown format" not in capsys.readouterr().err
