"""A small file system that tests fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[None]:
    """Mount a tmpfs of this size at a folder; skips the test without the permission to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mount(f"size={kilobytes}k", folder):
        pytest.skip("mounting a tmpfs requires root and CAP_SYS_ADMIN")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, kilobytes: int) -> None:
    """Change the size of the file system that is mounted at a folder."""
    assert _mount(f"remount,size={kilobytes}k", folder)


def fill(folder: Path) -> Path:
    """Write a file that takes all space of the file system."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as output:
        try:
            while output.write(b"x" * 4096):
                pass
        except OSError:
            os.fsync(output.fileno())
    return file


def _mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
