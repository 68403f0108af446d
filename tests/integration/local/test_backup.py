"""Backups are complete and verified: what is copied, what is refused, and what a restored home contains."""

from __future__ import annotations

import errno
import itertools
import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from config import settings
from event_store.opened import open_event_store, open_serving_state
from event_store.store import EventStore
from ingestion.land import main as land
from local.home import HOME_FORMAT
from local.recovery import backup as backup_module
from local.recovery import restore as restore_module
from local.recovery.backup import MANIFEST_FILE, BackupError, backup
from local.recovery.restore import RestoreError, restore
from storage.files import atomic_write
from storage.suppression_list import (
    UNFINISHED_FILE,
    UNSIGNED_EXIT_CODE,
    SuppressionList,
    add_unfinished,
    read_suppression_list,
)
from tests.support.log_sources import landed
from tests.support.recorded import record, recorded_event, shown
from tests.support.waiting import wait_until

ONLINE_STORE = "feast/online.db"
STORES = {f"serving/{name}" for name in ("events.db", "events.lock", "event_ids.key", "serving.db", "serving.lock")}
LOG = "requests/dt=2026-06-01/requests-1-1.jsonl"
LINES = b'{"request_id":"a","user_id":"ann"}\n{"request_id":"b","user_id":"bob"}\n{"request_id":"torn'
RELEASE = "bentoml/models/segue/r1"


def use(home: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    monkeypatch.setenv("SEGUE_HOME", str(home))
    return settings.load_settings()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """A home with a file of each kind."""
    here = use(tmp_path / "home", monkeypatch)
    files = {
        "home_format": f"{HOME_FORMAT}\n",
        "bentoml/active.json": json.dumps({"release": "r1", "path": RELEASE.removeprefix("bentoml/"), "history": []}),
        f"{RELEASE}/manifest.json": "{}",
        f"{RELEASE}/files.sha256": "",
        "bentoml/models/segue/half/manifest.json": "{}",
        "training/2026-06-01-debug/x.json": "{}",
        "landing/listening_events/dt=2026-06-01/.a.parquet.writing": "",
        "marts/tmp_events.parquet": "half",
        "marts/.spill/duckdb_temp_block-1.block": "ann",
        LOG: LINES.decode(),
    }
    for name, content in files.items():
        atomic_write(here.home / name, content)
    for name in ("landing/listening_events/dt=2026-06-01/a.parquet", "marts/events.parquet"):
        pl.DataFrame({"user_id": ["ann", "bob"], "event_id": ["a", "b"]}).write_parquet(here.home / name, mkdir=True)
    (here.home / "feast").mkdir()
    with closing(sqlite3.connect(here.home / ONLINE_STORE)) as connection:
        connection.executescript("pragma journal_mode = wal; create table rows (value text)")
        connection.execute("insert into rows values ('committed')")
        connection.commit()
    os.utime(here.home / LOG, ns=(10**18, 10**18))
    record(here.home, [recorded_event(1, "ann"), recorded_event(2, "bob")], [shown(1, "ann"), shown(2, "bob")])
    return here


def restored(here: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    return use(here.home.with_name("restored"), monkeypatch)


def test_restored_home_has_what_cannot_be_rebuilt(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = sqlite3.connect(here.home / "feast" / "online.db")
    writer.execute("insert into rows values ('not committed')")
    manifest = backup(here, tmp_path / "backup")
    writer.rollback()
    writer.close()
    assert manifest.release == "r1"
    there = restored(here, monkeypatch)
    assert restore(there, tmp_path / "backup")[0] == manifest
    found = {str(path.relative_to(there.home)) for path in there.home.rglob("*") if path.is_file()}
    assert found == {
        "home_format",
        "bentoml/active.json",
        f"{RELEASE}/manifest.json",
        f"{RELEASE}/files.sha256",
        "landing/listening_events/dt=2026-06-01/a.parquet",
        "marts/events.parquet",
        ONLINE_STORE,
        *STORES,
        "serving/serving.opening",
        LOG,
    }
    assert (there.home / LOG).read_bytes() == LINES
    assert (there.home / LOG).stat().st_mtime_ns == 10**18
    assert stat.S_IMODE((there.home / LOG).stat().st_mode) == stat.S_IMODE((here.home / LOG).stat().st_mode) & 0o640
    with closing(sqlite3.connect(there.home / ONLINE_STORE)) as connection:
        assert connection.execute("select value from rows").fetchall() == [("committed",)]


def test_stores_are_copied_while_events_arrive_and_restored_with_new_ids(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.home / "landing/listening_events/dt=2026-06-01/a.parquet").unlink()
    assert land(["--events"]) == 0
    acknowledged = list[str]()
    is_copied = threading.Event()

    def report(store: EventStore) -> None:
        for number in itertools.count(10):
            assert store.append([recorded_event(number)]).accepted == 1
            acknowledged.append(f"e{number}")
            if is_copied.is_set():
                return

    with closing(open_event_store(here)) as store:
        thread = threading.Thread(target=report, args=(store,))
        thread.start()
        wait_until(lambda: len(acknowledged) >= 20, "events")
        before = acknowledged.copy()
        backup(here, tmp_path / "backup")
        is_copied.set()
        thread.join()
        first_id = store.id
    there = restored(here, monkeypatch)
    restore(there, tmp_path / "backup")
    with closing(open_event_store(there)) as store, closing(open_serving_state(there)) as state:
        assert store.id not in (first_id, state.id)
        ids = [event["event_id"] for _, event in store.read(None, 10**6)]
        assert {"e1", "e2", *before} <= set(ids) and not store.private_session("bob")
        assert store.append([recorded_event(1)]).duplicate == 1
    assert land(["--events"]) == 0
    assert sorted(landed(there.home).filter(pl.col("action") == "like")["event_id"]) == sorted(ids)


def test_backup_is_refused_where_it_would_be_incomplete(here: settings.Settings, tmp_path: Path) -> None:
    atomic_write(tmp_path / "full" / "x", "")
    for target, message in (
        (tmp_path / "full", "not empty"),
        (here.home / "backup", "contain one another"),
        (tmp_path, "contain one another"),
    ):
        with pytest.raises(BackupError, match=message):
            backup(here, target)
    (here.home / RELEASE / "files.sha256").unlink()
    with pytest.raises(BackupError, match="active release r1 is not complete"):
        backup(here, tmp_path / "backup")
    (here.home / RELEASE / "files.sha256").touch()
    (here.home / "feast" / "online.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(BackupError, match=r"online.db is damaged.*sequences.online.materialize"):
        backup(here, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_tables_that_are_links_to_folders_are_copied(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = here.home / "landing" / "listening_events"
    table.rename(tmp_path / "moved")
    table.symlink_to(tmp_path / "moved")
    (table / "again").symlink_to(here.home / "landing")
    backup(here, tmp_path / "backup")
    there = restored(here, monkeypatch)
    restore(there, tmp_path / "backup")
    copied = there.home / "landing" / "listening_events"
    assert not copied.is_symlink()
    assert [path.name for path in copied.rglob("*")] == ["dt=2026-06-01", "a.parquet"]


def test_a_full_disk_is_not_reported_as_a_damaged_online_store(here: settings.Settings, tmp_path: Path) -> None:
    with closing(sqlite3.connect(here.home / "feast" / "online.db")) as connection:
        connection.executemany("insert into rows values (?)", [("x" * 1000,)] * 3000)
        connection.commit()
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(BackupError, match=r"cannot be copied to .*check the free space there"):
            backup(here, tmp_path / "backup")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.glob("backup*"))


def change_manifest(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


OUTSIDE = {"../x": {"sha256": "", "size": 0, "mtime_ns": 0}}
DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "changed file": (LOG, lambda file: file.write_bytes(LINES[::-1]), f"damaged: {LOG} differs from backup.json, 1 of"),
    "missing file": (LOG, Path.unlink, "damaged"),
    "version": (MANIFEST_FILE, lambda file: change_manifest(file, format=1), "another version"),
    "path": (MANIFEST_FILE, lambda file: change_manifest(file, files=OUTSIDE), "outside the home"),
    "field": (MANIFEST_FILE, lambda file: change_manifest(file, unknown=1), "not a complete backup"),
    "no manifest": (MANIFEST_FILE, Path.unlink, "not a complete backup"),
}


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_backup_is_not_restored(
    here: settings.Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    backup(here, tmp_path / "backup")
    damage(tmp_path / "backup" / name)
    there = restored(here, monkeypatch)
    with pytest.raises(RestoreError, match=message):
        restore(there, tmp_path / "backup")
    assert not there.home.exists()


def test_unfinished_erasures_are_completed_by_a_restore(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The erasure has begun: only files in which users are not looked for are left.
    report = pl.DataFrame({"user_id": ["ann", "bob"]})
    for file in here.home.rglob("*.parquet"):
        report.filter(pl.col("user_id") == "bob").write_parquet(file)
    (here.home / LOG).write_bytes(LINES.splitlines(keepends=True)[1])
    with closing(open_event_store(here)) as events, closing(open_serving_state(here)) as state:
        events.erase(["ann"])
        state.erase(["ann"])
    report.write_parquet(here.home / "reports" / "x.parquet", mkdir=True)
    SuppressionList().with_users(["ann"]).write(here.suppression_list)
    add_unfinished(here.home, ["ann"])
    backup(here, tmp_path / "backup")
    assert stat.S_IMODE((tmp_path / "backup" / UNFINISHED_FILE).stat().st_mode) == 0o600
    there = restored(here, monkeypatch)
    assert "1 erased users had data here" in restore(there, tmp_path / "backup")[1]
    assert pl.read_parquet(there.home / "reports" / "x.parquet")["user_id"].to_list() == ["bob"]
    assert not (there.home / UNFINISHED_FILE).exists()


def test_user_erased_after_the_backup_stays_erased_in_a_mounted_home(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SuppressionList().with_users(["earlier"])
    before.write(here.suppression_list)
    manifest = backup(here, tmp_path / "backup")
    there = restored(here, monkeypatch)
    SuppressionList(before.salt).with_users(["ann"]).write(there.suppression_list)
    (there.home / "lost+found").mkdir()
    rmdir, rename = Path.rmdir, Path.rename

    def rmdir_unless_mounted(self: Path) -> None:
        if self == there.home:
            raise OSError(errno.EBUSY, "Device or resource busy")
        rmdir(self)

    def rename_within_a_file_system(self: Path, target: Path) -> Path:
        if self.is_relative_to(there.home) != target.is_relative_to(there.home) or target == there.home:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rmdir", rmdir_unless_mounted)
    monkeypatch.setattr(Path, "rename", rename_within_a_file_system)
    with monkeypatch.context() as patch:
        failed = subprocess.CompletedProcess([], 2, "", "the online store does not respond")
        patch.setattr(subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(RestoreError, match="does not respond"):
            restore(there, tmp_path / "backup")
    assert "ann" in read_suppression_list(there.suppression_list)
    restored_manifest, output = restore(there, tmp_path / "backup")
    assert restored_manifest == manifest and "1 erased users had data here" in output
    users = read_suppression_list(there.suppression_list)
    assert "ann" in users and "earlier" in users
    assert {path.name for path in there.home.iterdir()} >= {"bentoml", "home_format", "landing", "requests", "marts"}
    assert not (there.home / ".restoring").exists()
    for file in there.home.rglob("*"):
        if file.suffix == ".parquet":
            users_of_file = pl.read_parquet(file).get_column("user_id", default=pl.Series([None]))
            assert users_of_file.to_list() in (["bob"], [], [None])
        elif file.is_file():
            assert b"ann" not in file.read_bytes().replace(b"channels", b"")


def test_lists_that_cannot_be_joined_restore_nothing(
    here: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SuppressionList().with_users(["earlier"]).write(here.suppression_list)
    backup(here, tmp_path / "backup")
    there = restored(here, monkeypatch)
    SuppressionList().with_users(["ann"]).write(tmp_path / "other.json")
    with pytest.raises(RestoreError, match="different salts"):
        restore(there, tmp_path / "backup", tmp_path / "other.json")
    with pytest.raises(RestoreError, match="does not exist"):
        restore(there, tmp_path / "backup", tmp_path / "missing.json")
    assert not list(tmp_path.glob("restored*"))
    unsigned = subprocess.CompletedProcess(
        [], UNSIGNED_EXIT_CODE, "1 erased\n", "release r1 was changed; sign it again\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: unsigned)
    assert restore(there, tmp_path / "backup")[1] == "1 erased\nrelease r1 was changed; sign it again\n"


def test_commands_say_what_was_done_and_what_is_left(
    here: settings.Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [backup_module.main(["--to", str(tmp_path / "backup")]) for _ in range(2)] == [0, 2]
    restored(here, monkeypatch)
    assert [restore_module.main(["--from", str(tmp_path / "backup")]) for _ in range(2)] == [0, 2]
    printed = capsys.readouterr()
    assert "no current suppression list was given" in printed.out and "is not empty" in printed.err
