"""An erasure that failed midway is completed by the next one, although the user is no longer found in the home."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from config import settings
from event_store import sqlite_database
from event_store.opened import open_event_store, open_serving_state
from privacy import erase, online_store, recommender_files
from privacy.erase import find_suppressed_users
from storage.files import atomic_write
from storage.suppression_list import (
    UNFINISHED_EXIT_CODE,
    UNFINISHED_FILE,
    SuppressionList,
    add_unfinished,
    content_digest,
)
from tests.support.recorded import record, recorded_event, shown

pytestmark = pytest.mark.usefixtures("here")


fail = mock.Mock(side_effect=online_store.StoreUnavailable("the online store does not respond"))


def test_the_next_erasure_completes_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = settings.load_settings()
    record(tmp_path, [recorded_event(0, "alice"), recorded_event(1)])
    SuppressionList().with_users(["alice"]).write(here.suppression_list)
    add_unfinished(tmp_path, ["lifted"])
    with monkeypatch.context() as patch:
        patch.setattr(online_store, "erase_users", fail)
        assert erase.main(["--suppressed"]) == 2
    assert find_suppressed_users(here) == []
    assert (tmp_path / UNFINISHED_FILE).stat().st_mode & 0o777 == 0o600

    erased: list[list[str]] = []

    def erase_rows(users: Sequence[str], _: settings.Settings) -> dict[str, Counter[str]]:
        erased.append(list(users))
        return {"online store": Counter(users)}

    monkeypatch.setattr(online_store, "erase_users", erase_rows)
    assert erase.main(["--suppressed"]) == 0
    assert erased == [["alice"]]
    assert "1 erased users had data here" in capsys.readouterr().out
    assert "alice" not in (tmp_path / UNFINISHED_FILE).read_text()
    assert erase.main(["--suppressed"]) == 0 and len(erased) == 1


def test_a_user_that_is_no_longer_suppressed_is_not_erased_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_store, "erase_users", fail)
    assert erase.main(["alice", "--anyway"]) == 2
    assert (tmp_path / UNFINISHED_FILE).exists()
    assert erase.main(["alice", "--lift"]) == 0
    assert not (tmp_path / UNFINISHED_FILE).exists()


@pytest.mark.parametrize("name", ["serving/events.db", "feast/online.db", UNFINISHED_FILE])
def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    atomic_write(tmp_path / name, b"damaged" * 1000)
    for arguments in (["alice", "--anyway"], ["--suppressed"]):
        assert erase.main(arguments) == 2
        assert name in capsys.readouterr().err
    (tmp_path / name).unlink()
    assert erase.main(["--suppressed"]) == 0


def test_an_erasure_ends_when_every_live_worker_has_acknowledged_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recommender_files, "ACKNOWLEDGEMENT_TIMEOUT_S", 0.2)
    here = settings.load_settings()
    record(tmp_path, [recorded_event(1, "alice"), recorded_event(2)], [shown(1, "alice")])
    with closing(open_serving_state(here)) as state:
        state.report_worker("host-1", {"suppressed": content_digest(None)})
        assert erase.main(["alice"]) == 2
        assert "worker host-1 has not acknowledged" in capsys.readouterr().err
        assert state.users() == set()
        state.report_worker("host-1", {"suppressed": content_digest(here.suppression_list.read_bytes())})
        assert erase.main(["--suppressed"]) == 0
    with closing(open_event_store(here)) as store:
        assert store.append([recorded_event(3, "alice"), recorded_event(4)]).erased == 1
        assert erase.main(["alice", "--lift"]) == 0
        assert store.append([recorded_event(3, "alice")]).accepted == 1


def test_bytes_in_a_log_that_a_process_reads_are_an_unfinished_erasure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sqlite_database, "ERASURE_TIMEOUT_S", 0.2)
    record(tmp_path, [recorded_event(1, "alice")], [shown(1, "alice")])
    with closing(sqlite3.connect(tmp_path / "serving" / "events.db", isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from events").fetchone()
        assert erase.main(["alice"]) == UNFINISHED_EXIT_CODE
        assert "events.db-wal, which a process keeps reading" in capsys.readouterr().err
        assert b"alice" not in (tmp_path / "serving" / "serving.db").read_bytes()
    assert erase.main(["--suppressed"]) == 0
    assert not any(b"alice" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
