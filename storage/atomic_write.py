"""Files that are replaced as a whole: readers see the old file or the new one, also if the writer is killed or its disk is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
