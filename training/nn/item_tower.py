"""A track as a vector: its own embedding where it was played often enough, its artist's, its facets and its content.

Tracks with few plays share the rare row, so that their vector is their artist's: an embedding learned from two plays is
noise. A track with content (`training.content.track_content`) has a projection of it besides, so that one that nobody has played, of
an artist whom nobody knows, still has a vector of its own.

So that content learns to stand alone, a share of the tracks that have some is taken for cold while learning, as in
Volkovs, Yu, Poutanen, "DropoutNet: Addressing Cold Start in Recommender Systems" (NeurIPS 2017). Different there: the
network learns the scores of a latent model that was fitted before, and drops a preference vector to zeros, of users as
well; here everything is learned at once, and a dropped id becomes the rare row, which is what a cold track will have.
Legend: V vocabulary, A artists, D width, N items asked for, R tracks with content, W its width. Knows nothing about
users.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sequences.batch import FIRST_CODE
from training.content.track_content import ContentUse
from training.data.training_data import FACETS, TrainingData

RARE_ROW = 1
MAX_FACET_VALUES = 8
"""At most this many values of a facet count for a track."""


class ItemCodes(nn.Module):
    """What the tower knows of each of the V tracks, as buffers saved with the weights: row of its own embedding (0
    padding, RARE shared), row of its artist, and [V, F] rows of its facet values (0 none).

    Where content is used also: row of its content (0 none), the rows [R + 1, W] in half precision, the first of zeros,
    and which tracks are cold, that is, nobody did anything with them in what is learned from.
    """

    track_V: Tensor
    artist_V: Tensor
    facet_VF: Tensor
    content_V: Tensor | None
    content_RW: Tensor | None
    is_cold_V: Tensor | None
    facet_share_V: Tensor
    """1 / number of facet values, [V]; made of `facet_VF` and not saved."""

    def __init__(
        self,
        track_V: Tensor,
        artist_V: Tensor,
        facet_VF: Tensor,
        content_V: Tensor | None = None,
        content_RW: Tensor | None = None,
        is_cold_V: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("track_V", track_V)
        self.register_buffer("artist_V", artist_V)
        self.register_buffer("facet_VF", facet_VF)
        self.register_buffer("content_V", content_V)
        self.register_buffer("content_RW", content_RW)
        self.register_buffer("is_cold_V", is_cold_V)
        self.register_buffer("facet_share_V", 1 / (facet_VF > 0).sum(1).clamp(min=1), persistent=False)

    @classmethod
    def of(cls, data: TrainingData, count_V: np.ndarray, min_plays: int, content: ContentUse = "off") -> ItemCodes:
        """Codes from the vocabulary: tracks and artists played `least_plays` times and more in `count_V` get rows of
        their own. Where no track has content by that use, all is as if it were off.
        """
        vocabulary = data.vocabulary
        artist_V = vocabulary.artist_of_track_V
        count_A = np.bincount(artist_V, weights=count_V, minlength=vocabulary.artist_count)
        artist_row_A = _embedding_rows(count_A, min_plays)
        if not (artist_V >= FIRST_CODE).any():
            # Where nobody knows an artist, one shared vector would only make all tracks alike.
            artist_row_A[:] = 0
        arrays = [_embedding_rows(count_V, min_plays), artist_row_A[artist_V], _facet_rows(data)]
        if content != "off" and (is_used_V := data.content.has_content(content)).any():
            content_V = np.where(is_used_V, is_used_V.cumsum(), 0)
            content_RW = np.pad(data.content.row_VW[is_used_V], ((1, 0), (0, 0)))
            arrays += [content_V.astype(np.int64), content_RW, (count_V == 0) & (np.arange(len(count_V)) >= FIRST_CODE)]
        return cls(*(torch.from_numpy(array) for array in arrays))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor], prefix: str) -> ItemCodes:
        """The codes among a network's saved tensors, whose names there begin with `prefix`."""
        codes = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        return cls(**codes)

    def sizes(self) -> tuple[int, int, int]:
        """Rows that the three embeddings need."""
        rows = (self.track_V, self.artist_V, self.facet_VF)
        return tuple(int(codes.max()) + 1 if codes.numel() else 1 for codes in rows)  # type: ignore[return-value]


class ItemTower(nn.Module):
    """`forward(items)` gives [..., D]: own + artist + mean of the facet values' embeddings + projection of the content.

    `id_dropout`: share of the tracks with content that each call in training takes for cold; half of them lose their
    artist as well.
    """

    def __init__(self, codes: ItemCodes, width: int, id_dropout: float = 0.0, sparse_gradients: bool = False) -> None:
        super().__init__()
        self.codes, self.id_dropout = codes, id_dropout
        tracks, artists, facets = codes.sizes()
        self.track = nn.Embedding(max(tracks, 2), width, padding_idx=0, sparse=sparse_gradients)
        self.artist = nn.Embedding(max(artists, 2), width, padding_idx=0, sparse=sparse_gradients)
        self.facet = nn.Embedding(facets, width, padding_idx=0)
        for table in (self.track, self.artist, self.facet):
            nn.init.normal_(table.weight, std=width**-0.5)
            with torch.no_grad():
                table.weight[0] = 0
        with torch.no_grad():
            self.track.weight.mul_(0.5)
        self.content: nn.Linear | None = None
        if codes.content_RW is not None:
            # Without a bias, so that no content adds nothing.
            self.content = nn.Linear(codes.content_RW.shape[1], width, bias=False)
            nn.init.normal_(self.content.weight, std=width**-0.5)

    def forward(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Vectors of items of any shape; `as_cold`: those that they would have if nobody had played them or anything by
        their artists.
        """
        track, artist = self.codes.track_V[items], self.codes.artist_V[items]
        if as_cold:
            track, artist = track.clamp(max=RARE_ROW), artist.clamp(max=RARE_ROW)
        elif self.training and self.content is not None and self.id_dropout > 0:
            draw = torch.rand(len(self.codes.track_V), device=items.device)[items]
            draw = draw.masked_fill(self.codes.content_V[items] == 0, 1.0)  # type: ignore[index]
            track = torch.where(draw < self.id_dropout, track.clamp(max=RARE_ROW), track)
            artist = torch.where(draw < self.id_dropout / 2, artist.clamp(max=RARE_ROW), artist)
        vector: Tensor = self.track(track) + self.artist(artist) + self.facet_embedding(items)
        return vector if self.content is None else vector + self.content_embedding(items)

    def content_embedding(self, items: Tensor) -> Tensor:
        """What the items' content adds, [..., D]; zeros where there is none, or where content is off."""
        codes = self.codes
        if self.content is None or codes.content_V is None or codes.content_RW is None:
            return self.track.weight.new_zeros((*items.shape, self.track.embedding_dim))
        return self.content(codes.content_RW[codes.content_V[items]].to(self.content.weight.dtype))  # type: ignore[no-any-return]

    def facet_embedding(self, items: Tensor) -> Tensor:
        """Mean of the embeddings of the items' facet values; zeros where there are none."""
        facet = self.codes.facet_VF[items]
        if not facet.shape[-1]:
            return self.facet.weight.new_zeros((*items.shape, self.facet.weight.shape[1]))
        # One fused step: as an embedding and a mean it would hold every value's vector of every item. The padding row is
        # zeros; to leave it out matters only where it would be learned, and takes longer than all the rest.
        bag: Tensor = functional.embedding_bag(
            facet.reshape(-1, facet.shape[-1]),
            self.facet.weight,
            mode="sum",
            padding_idx=0 if self.training else None,
        )
        return bag.view(*items.shape, self.facet.embedding_dim) * self.codes.facet_share_V[items].unsqueeze(-1)


def _embedding_rows(counts: np.ndarray, least: int) -> np.ndarray:
    """Row of each code: 0 for padding, RARE below `least` plays, then 2.. in order."""
    is_own = counts >= least
    is_own[:2] = False
    rows = np.where(is_own, np.cumsum(is_own) + RARE_ROW, RARE_ROW)
    rows[0] = 0
    return rows.astype(np.int64)


def _facet_rows(data: TrainingData) -> np.ndarray:
    """Rows of every track's facet values, [V, F]: the values of one facet after those of another, 0 none."""
    kept, first = [], 1
    for values, rows_VF in (_facet_columns(*data.facets[facet]) for facet in FACETS):
        if values:
            kept.append(np.where(rows_VF > 0, rows_VF + first - 1, 0))
            first += values
    return np.concatenate(kept, axis=1) if kept else np.zeros((len(data.vocabulary), 0), dtype=np.int64)


def _facet_columns(values: list[str], lists: object) -> tuple[int, np.ndarray]:
    """The facet's lists as [V, F] with value numbers from 1, 0 where none."""
    from training.data.ragged import Ragged

    assert isinstance(lists, Ragged)  # noqa: S101
    count = np.minimum(lists.count_C, MAX_FACET_VALUES)
    rows = np.zeros((len(count), int(count.max(initial=0))), dtype=np.int64)
    for column in range(rows.shape[1]):
        has = count > column
        rows[has, column] = lists.items[lists.offset_C1[:-1][has] + column] + 1
    return len(values), rows
