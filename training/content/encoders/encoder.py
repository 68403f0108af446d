"""The interface of all encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Source = TypeVar("Source")
Content = TypeVar("Content")

Embeddings = NDArray[np.float32]


class Encoder(ABC, Generic[Source, Content]):
    """Turns what a track has of one kind (audio, cover, text) into vectors.

    The two steps are apart, because only the first one reads files: a broken file is set aside before a batch is built.

    >>> contents = [encoder.load(path) for path in paths]  # MediaError: quarantine that file
    >>> vector_BD = encoder.encode(contents)
    """

    name: str
    dimension: int
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
