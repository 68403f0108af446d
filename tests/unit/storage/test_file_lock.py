"""Locks between processes, and who holds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.file_lock import LockHeld, file_lock, held_locks, lock_holder


def test_the_error_names_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "build.lock"
    with file_lock(lock):
        assert (lock_holder(lock), held_locks(lock.parent)) == (str(os.getpid()), ["build"])
        for is_shared in (True, False):
            with pytest.raises(LockHeld, match=f"process {os.getpid()} holds the lock {lock}"):
                file_lock(lock, is_shared=is_shared, timeout_s=0.01)
    assert (lock_holder(lock), held_locks(lock.parent)) == (None, [])


def test_a_shared_lock_excludes_only_those_that_want_it_alone(tmp_path: Path) -> None:
    lock = tmp_path / "all.lock"
    with file_lock(lock, is_shared=True), file_lock(lock, is_shared=True, timeout_s=0):
        assert lock_holder(lock) is None
        with pytest.raises(LockHeld):
            file_lock(lock, timeout_s=0)
