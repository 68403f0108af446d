"""An erasure that failed midway is completed by the next one, although the user is no longer found in the home."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from config import settings
from privacy import broker, erase, online_store
from privacy.broker import BrokerUnavailable
from privacy.suppressed_users import find_suppressed_users
from storage.suppression_list import SuppressionList
from storage.unfinished_erasures import UNFINISHED_FILE, add_unfinished
from tests.support.log_sources import event, json_lines


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))


def test_the_next_erasure_completes_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGUE_BROKER", "redis://127.0.0.1:1")
    here = settings.load_settings()
    json_lines(here.event_log / "dt=2026-05-01" / "events-1-1.jsonl", [event(0, user_id="alice"), event(1)])
    SuppressionList().with_users(["alice"]).write(here.suppression_list)
    add_unfinished(tmp_path, ["lifted"])
    assert erase.main(["--suppressed"]) == 2
    assert find_suppressed_users(here) == []
    assert (tmp_path / UNFINISHED_FILE).stat().st_mode & 0o777 == 0o600

    erased: list[list[str]] = []

    def erase_messages(users: Sequence[str], here: settings.Settings) -> Counter[str]:
        erased.append(list(users))
        return Counter(users)

    monkeypatch.setattr(broker, "erase_users", erase_messages)
    monkeypatch.setattr(online_store, "erase_users", lambda users, here: {"online": erase_messages(users, here)})
    assert erase.main(["--suppressed"]) == 0
    assert erased == [["alice"], ["alice"]]
    assert "1 erased users had data here" in capsys.readouterr().out
    assert "alice" not in (tmp_path / UNFINISHED_FILE).read_text()
    assert erase.main(["--suppressed"]) == 0 and len(erased) == 2


def test_a_user_that_is_no_longer_suppressed_is_not_erased_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(*_: object) -> None:
        raise BrokerUnavailable("the broker does not respond")

    monkeypatch.setattr(online_store, "erase_users", fail)
    assert erase.main(["alice", "--anyway"]) == 2
    assert (tmp_path / UNFINISHED_FILE).exists()
    assert erase.main(["alice", "--lift"]) == 0
    assert not (tmp_path / UNFINISHED_FILE).exists()


@pytest.mark.parametrize("arguments", [["--suppressed", "--lift"], ["alice", "--lift", "--anyway"]])
def test_lifting_takes_no_other_option(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        erase.main(arguments)
    assert refused.value.code == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["serving/daily_lists.sqlite", "feast/online.db"])
def test_a_damaged_database_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"damaged" * 1000)
    for arguments in (["alice", "--anyway"], ["--suppressed"]):
        assert erase.main(arguments) == 2
        assert f"error: {tmp_path / name} cannot be read" in capsys.readouterr().err
    (tmp_path / name).unlink()
    assert erase.main(["--suppressed"]) == 0


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / UNFINISHED_FILE).write_text("{")
    assert erase.main(["--suppressed"]) == 2
    assert UNFINISHED_FILE in capsys.readouterr().err
