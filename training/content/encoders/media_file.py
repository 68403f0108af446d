"""Opening files that others provided, and the one error for what is wrong with them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class MediaError(Exception):
    """A media file cannot be encoded; `path` and `reason` are for the quarantine."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@contextmanager
def open_media(path: Path) -> Iterator[BinaryIO]:
    """The open file; whatever exception its decoding raises inside the block becomes a `MediaError`.

    Decoders raise many types for broken content, so all are caught: one file must not stop a run over a catalog.

    Raises:
        MediaError: the file is missing, empty or not a regular file, or the block raised.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MediaError(path, "not a regular file")
            if not status.st_size:
                raise MediaError(path, "the file is empty")
            yield file
    except MediaError:
        raise
    except Exception as error:
        # The message of the decoder alone: the names that errors add are those of file descriptors.
        raise MediaError(path, f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}") from error


def check_extension(path: Path, detected: str, extensions: tuple[str, ...]) -> None:
    """Reject a file whose name says another format than its content.

    Raises:
        MediaError: the extension is not one of `extensions`.
    """
    if path.suffix.lower() not in extensions:
        named = path.suffix or "no extension"
        raise MediaError(path, f"wrong extension: the content is {detected}, the name has {named}; rename the file")
