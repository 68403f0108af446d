"""The cache keeps files within its bound, the recently used ones, and survives other processes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from media.rendered_media import FileCache


def fail() -> bytes:
    raise AssertionError("the file is in the cache already")


def test_a_file_is_created_once(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 1_000)
    file = cache.get("a.wav", lambda: b"sound")
    assert file.read_bytes() == b"sound"
    assert cache.get("a.wav", fail) == FileCache(tmp_path / "cache", 1_000).get("a.wav", fail) == file


def test_the_least_recently_used_files_are_removed(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1_000)
    for number in range(9):
        cache.get(str(number), lambda: bytes(100))
    cache.get("0", fail)
    for number in range(10, 14):
        cache.get(str(number), lambda: bytes(100))
    names = {file.name for file in tmp_path.iterdir()}
    assert {"0", "13"} <= names and "1" not in names
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1_000


def test_a_file_that_is_larger_than_the_bound_can_be_read(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 100)
    assert cache.get("a", lambda: bytes(500)).stat().st_size == 500


def test_a_file_that_is_made_again_looks_unchanged(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1_000)
    file = cache.get("a", lambda: b"sound")
    before = file.stat()
    file.unlink()
    after = cache.get("a", lambda: b"sound").stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert cache.get("b", lambda: b"noise").stat().st_mtime_ns != before.st_mtime_ns


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1_000)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: bytes(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_are_removed_when_their_process_must_have_ended(tmp_path: Path) -> None:
    unfinished = tmp_path / "abc.writing"
    unfinished.write_bytes(bytes(10))
    FileCache(tmp_path, 1_000).get("a", lambda: bytes(10))
    assert unfinished.exists()
    later = time.time() + 7_200
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("media.rendered_media.time.time", lambda: later)
        FileCache(tmp_path, 1_000).get("b", lambda: bytes(10))
    assert {file.name for file in tmp_path.iterdir()} == {"a", "b"}


def test_threads_may_create_the_same_file(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 10_000)
    with ThreadPoolExecutor(8) as threads:
        files = list(threads.map(lambda number: cache.get(str(number % 3), lambda: bytes(100)), range(90)))
    assert {file.name for file in files} == {"0", "1", "2"} == {file.name for file in tmp_path.iterdir()}
