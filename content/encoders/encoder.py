"""The interface of all encoders, opening files that others provided, and the one error for what is wrong with them."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Source = TypeVar("Source")
Content = TypeVar("Content")
Embeddings = NDArray[np.float32]


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
        # The message of the decoder alone: the names that errors add are file descriptors.
        raise MediaError(path, f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}") from error


def check_extension(path: Path, detected: str, extensions: tuple[str, ...]) -> None:
    """Reject a file whose name says another format than its content.

    Raises:
        MediaError: the extension is not one of `extensions`.
    """
    if path.suffix.lower() not in extensions:
        named = path.suffix or "no extension"
        raise MediaError(path, f"wrong extension: the content is {detected}, the name has {named}; rename the file")


class Encoder(ABC, Generic[Source, Content]):
    """Turns what a track has of one kind (audio, cover, text) into vectors.

    The two steps are apart, because only the first one reads files: a broken file is set aside before a batch is built.

    >>> contents = [encoder.load(path) for path in paths]  # MediaError: quarantine that file
    >>> vector_BD = encoder.encode(contents)
    """

    name: str
    version: str
    """Changes whenever vectors of the same source change; vectors of different versions must not be mixed."""

    @abstractmethod
    def load(self, source: Source) -> Content:
        """Read and decode a source, within bounds of memory that do not depend on its size.

        Raises:
            MediaError: the source is missing, broken, or beyond a limit.
        """

    @abstractmethod
    def encode(self, batch: Sequence[Content]) -> Embeddings:
        """Vectors of loaded contents, float32 [B, D]; a row does not depend on the other rows of the batch."""
