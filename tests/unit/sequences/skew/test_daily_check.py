"""The daily check of training/serving skew: what it records, and when it fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from sequences.skew import __main__
from sequences.skew.compare import SkewReport
from sequences.skew.feature_log import LoggedRequest
from storage.files import atomic_write

AT_US = int(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp() * 1e6)
REQUEST = LoggedRequest("q", "u", AT_US, "r", None, {}, {})


@pytest.fixture
def home(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(__main__, "open_store", lambda: None)
    lines = REQUEST.to_line() + replace(REQUEST, request_id="p").to_line()
    atomic_write(tmp_path / "requests" / "dt=2026-05-01" / "requests-1-1.jsonl", lines)
    return tmp_path


@pytest.mark.parametrize(
    ("counts", "remedy"),
    [({"unread": 2}, "start the online store"), ({"unread": 1, "pending": 1}, "land them")],
)
def test_a_day_without_a_comparable_request_fails_and_is_not_recorded(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    counts: dict[str, int],
    remedy: str,
) -> None:
    monkeypatch.setattr(__main__, "compare_requests", lambda _, __, found, *___: SkewReport(len(list(found)), **counts))
    atomic_write(home / "reports" / "skew.json", "earlier")
    assert __main__.main(["--as-of", "2026-05-02"]) == 1
    error = capsys.readouterr().err
    assert f"none of 2 requests of 2026-05-01 could be compared: unread {counts['unread']}" in error
    assert remedy in error
    assert not (home / "reports" / "history").exists()
    assert (home / "reports" / "skew.json").read_text() == "earlier"
