"""Files: replacing one as a whole, reading JSON, checksums, lists of folders, and free space on the disk.

Readers of a replaced file see the old one or the new one, also if the writer is killed or its disk is full.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRAFT_SUFFIX = ".writing"
"""Suffix of files that are not complete; their names begin with a dot."""


@contextmanager
def open_draft(path: Path, *, is_durable: bool = False, is_contended: bool = False) -> Iterator[Path]:
    """Yield the path of a file to write, which replaces `path` at the end of the block; an error removes it.

    Args:
        path: The file; its folder is created.
        is_durable: Whether the new file survives a crash of the machine when the block has ended.
        is_contended: Whether other processes may write the same file at the same time. The last one wins, but a killed one
            leaves its draft, which the next writer would otherwise replace.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}{f'.{os.getpid()}' if is_contended else ''}{DRAFT_SUFFIX}")
    try:
        yield draft
        if is_durable:
            sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if is_durable:
        sync(path.parent)


def atomic_write(
    path: Path, content: str | bytes, *, is_durable: bool = False, is_contended: bool = False, mode: int = 0o666
) -> None:
    """Replace a file, see `open_draft`; text is encoded as UTF-8, and `mode` is subject to the umask."""
    with open_draft(path, is_durable=is_durable, is_contended=is_contended) as draft:
        draft.touch(mode)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def sync(path: Path) -> None:
    """Make the content of a file durable, or the names of the files in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty without the file.

    Raises:
        ValueError: The file has no JSON.
    """
    return json.loads(path.read_bytes()) if path.exists() else {}


def hash_file(path: Path) -> str:
    """SHA-256 of a file as hex digits, as releases and backups record it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_nested_files(folder: Path) -> list[Path]:
    """Every path below `folder` that is not a folder, sorted, also in links to folders, such as folders on a larger disk.

    A link to a folder that contains it is not followed.
    """
    files: list[Path] = []
    for name, subfolders, names in os.walk(folder, followlinks=True):
        path = Path(name)
        if path.is_symlink() and path.resolve() in {parent.resolve() for parent in path.parents}:
            subfolders.clear()
        else:
            files += [path / one for one in names]
    return sorted(files)


MIN_FREE_MB = 512  # three times the output of recipe `small` with its simulated world (157 MB)


class DiskSpaceError(RuntimeError):
    """SEGUE_HOME is not writable or its disk is full; the message states which, and the remedy."""


def check_disk_space(home: Path, min_free_mb: int = MIN_FREE_MB) -> None:
    """Check that `home` is a folder (created if missing) on a disk with at least `min_free_mb` free.

    Raises:
        DiskSpaceError: It is not.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(home).free >> 20
    except OSError as error:
        raise DiskSpaceError(
            f"SEGUE_HOME={home} cannot be written ({error.strerror}); choose another folder: SEGUE_HOME=PATH"
        ) from error
    if free_mb < min_free_mb:
        raise DiskSpaceError(
            f"the disk of SEGUE_HOME={home} has {free_mb} MB left where {min_free_mb} are needed; free some, or choose a "
            "folder on another disk: SEGUE_HOME=PATH"
        )


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    atomic_write(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", is_contended=True)
