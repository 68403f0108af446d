"""A track as a vector: its own embedding where it was played often enough, its artist's, and its facets.

Legend: V vocabulary, A artists, D width, N items asked for. Tracks with few plays share the rare row, so that their
vector is their artist's: an embedding learned from two plays is noise. Knows nothing about users.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sequences.batch import FIRST
from training.data import FACETS, TrainingData

RARE = 1
FACET_VALUES = 8
"""At most this many values of a facet count for a track."""


class ItemCodes(nn.Module):
    """What the tower knows of each of the V tracks, as buffers saved with the weights: row of its own embedding (0
    padding, RARE shared), row of its artist, and [V, F] rows of its facet values (0 none).
    """

    track_V: Tensor
    artist_V: Tensor
    facet_VF: Tensor

    def __init__(self, track_V: Tensor, artist_V: Tensor, facet_VF: Tensor) -> None:
        super().__init__()
        self.register_buffer("track_V", track_V)
        self.register_buffer("artist_V", artist_V)
        self.register_buffer("facet_VF", facet_VF)

    @classmethod
    def of(cls, data: TrainingData, count_V: np.ndarray, least_plays: int) -> ItemCodes:
        """Codes from the vocabulary: tracks and artists played `least_plays` times and more in `count_V` get rows of
        their own.
        """
        vocabulary = data.vocabulary
        artist_V = vocabulary.artist_of_track_V
        count_A = np.bincount(artist_V, weights=count_V, minlength=vocabulary.artists)
        facets = [_columns(*data.facets[facet]) for facet in FACETS]
        kept, first = [], 1
        for values, rows_VF in facets:
            if values:
                kept.append(np.where(rows_VF > 0, rows_VF + first - 1, 0))
                first += values
        facet_VF = np.concatenate(kept, axis=1) if kept else np.zeros((len(vocabulary), 0), dtype=np.int64)
        artist_row_A = _rows(count_A, least_plays)
        if not (artist_V >= FIRST).any():
            # Where nobody knows an artist, one shared vector would only make all tracks alike.
            artist_row_A[:] = 0
        return cls(
            torch.from_numpy(_rows(count_V, least_plays)),
            torch.from_numpy(artist_row_A[artist_V]),
            torch.from_numpy(facet_VF),
        )

    def sizes(self) -> tuple[int, int, int]:
        """Rows that the three embeddings need."""
        return tuple(int(codes.max()) + 1 if codes.numel() else 1 for codes in self.buffers())  # type: ignore[return-value]


class ItemTower(nn.Module):
    """`forward(items)` gives [..., D]: own + artist + mean of the facet values' embeddings."""

    def __init__(self, codes: ItemCodes, width: int) -> None:
        super().__init__()
        self.codes = codes
        tracks, artists, facets = codes.sizes()
        self.track = nn.Embedding(max(tracks, 2), width, padding_idx=0)
        self.artist = nn.Embedding(max(artists, 2), width, padding_idx=0)
        self.facet = nn.Embedding(facets, width, padding_idx=0)
        for table in (self.track, self.artist, self.facet):
            nn.init.normal_(table.weight, std=width**-0.5)
            with torch.no_grad():
                table.weight[0] = 0
        with torch.no_grad():
            self.track.weight.mul_(0.5)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors of items of any shape."""
        codes = self.codes
        return self.track(codes.track_V[items]) + self.artist(codes.artist_V[items]) + self.facets(items)  # type: ignore[no-any-return]

    def facets(self, items: Tensor) -> Tensor:
        """Mean of the embeddings of the items' facet values; zeros where there are none."""
        facet = self.codes.facet_VF[items]
        if not facet.shape[-1]:
            return self.facet.weight.new_zeros((*items.shape, self.facet.weight.shape[1]))
        # One fused step: as an embedding and a mean it would hold every value's vector of every item.
        bag: Tensor = functional.embedding_bag(facet.flatten(0, -2), self.facet.weight, mode="mean", padding_idx=0)
        return bag.view(*items.shape, self.facet.embedding_dim)


def _rows(counts: np.ndarray, least: int) -> np.ndarray:
    """Row of each code: 0 for padding, RARE below `least` plays, then 2.. in order."""
    is_own = counts >= least
    is_own[:2] = False
    rows = np.where(is_own, np.cumsum(is_own) + RARE, RARE)
    rows[0] = 0
    return rows.astype(np.int64)


def _columns(values: list[str], lists: object) -> tuple[int, np.ndarray]:
    """The facet's lists as [V, F] with value numbers from 1, 0 where none."""
    from training.data import Ragged

    assert isinstance(lists, Ragged)  # noqa: S101
    count = np.minimum(lists.count_C, FACET_VALUES)
    rows = np.zeros((len(count), int(count.max(initial=0))), dtype=np.int64)
    for column in range(rows.shape[1]):
        has = count > column
        rows[has, column] = lists.items[lists.offset_C1[:-1][has] + column] + 1
    return len(values), rows
