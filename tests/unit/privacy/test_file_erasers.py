"""Erasers of JSON-lines and SQLite files: complete, and without disturbing other processes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from privacy import recommender_files
from privacy.online_store import FileBusy, erase_rows

USER = "ann-é"


def line(user: str, number: int, **more: object) -> bytes:
    return json.dumps({"event_id": f"e{number}", "user_id": user, **more}, separators=(",", ":")).encode() + b"\n"


def test_only_the_users_lines_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    unescaped = json.dumps({"user_id": USER, "event_id": "e2"}, ensure_ascii=False).encode() + b"\n"
    torn = b'{"event_id":"e5","user_id":"ann-\\u00e9","acti\n'
    others = [line("bob", 1), line("bob", 3, target_id=USER), b"no json\n", b"\n", b'{"user_id":"bob","even']
    path.write_bytes(b"".join([line(USER, 0), others[0], unescaped, others[1], torn, *others[2:]]))
    assert recommender_files.erase_lines(path, [USER, "unknown_user"]) == {USER: 3}
    assert path.read_bytes() == b"".join(others)
    inode = path.stat().st_ino
    assert recommender_files.erase_lines(path, [USER]) == {} and path.stat().st_ino == inode


def filled(path: Path) -> sqlite3.Connection:
    """A file with a write-ahead log, and a deleted row whose bytes are still in a free page."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("pragma journal_mode = wal; pragma secure_delete = off;")
    connection.execute("create table lists (user_id text, tracks text)")
    connection.execute("create table others (name text)")
    connection.executemany(
        "insert into lists values (?, ?)", [(user, f"{user}:{'x' * 3000}") for user in (USER, "bob", USER, "gone")]
    )
    connection.execute("delete from lists where user_id = 'gone'")
    connection.execute("insert into others values ('kept')")
    return connection


def bytes_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*") if not one.name.endswith("-shm"))


def test_rows_are_erased_from_file_and_wal_while_another_connection_is_open(tmp_path: Path) -> None:
    path = tmp_path / "lists.sqlite"
    connection = filled(path)
    assert USER.encode() in bytes_of(path) and b"gone:" in bytes_of(path)
    assert erase_rows(path, "user_id", {USER: USER, "unknown_user": "unknown_user"}) == {USER: 2}
    assert USER.encode() not in bytes_of(path) and b"gone:" not in bytes_of(path)
    assert [user for (user,) in connection.execute("select user_id from lists")] == ["bob"]
    assert connection.execute("select * from others").fetchall() == [("kept",)]
    connection.execute("insert into lists values ('eve', 'y')")
    assert erase_rows(path, "user_id", {USER: USER}) == {}
    assert [user for (user,) in connection.execute("select user_id from lists")] == ["bob", "eve"]


@pytest.mark.parametrize("use", [["begin immediate"], ["begin", "select * from lists"]], ids=["writer", "reader"])
def test_a_file_in_use_is_named_in_the_error(tmp_path: Path, use: list[str]) -> None:
    path = tmp_path / "lists.sqlite"
    connection = filled(path)
    for statement in use:
        connection.execute(statement).fetchone()
    with pytest.raises(FileBusy, match=r"lists.sqlite.*run this again"):
        erase_rows(path, "user_id", {USER: USER}, wait_s=0.1)
    connection.execute("commit")
    erase_rows(path, "user_id", {USER: USER})
    assert USER.encode() not in bytes_of(path)


def test_missing_file_is_not_created(tmp_path: Path) -> None:
    assert erase_rows(tmp_path / "none.sqlite", "user_id", {USER: USER}) == {}
    assert list(tmp_path.iterdir()) == []
