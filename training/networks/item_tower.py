"""Item tower: the vector of a track from its id, artist, facets and content.

Tracks with few plays share one id embedding, the rare row, so that their vector depends on their artist and facets: an
embedding learned from two plays is noise. Content (`content.track_content`) is projected and added, so that an
unplayed track of an unknown artist still has its own vector.

So that content becomes informative by itself, a share of the tracks with content is treated as cold in training, as in
Volkovs, Yu, Poutanen, "DropoutNet: Addressing Cold Start in Recommender Systems" (NeurIPS 2017). Differences:
DropoutNet learns the scores of a latent model fitted before and drops preference vectors of items and users to zeros;
here everything is learned jointly, and a dropped id becomes the rare row, which is what a cold track has at inference.

Legend: V vocabulary, A artists, D width, N items, R tracks with content, W content width, F facet columns.

Content tower: the vector of a track from its content alone (`content.track_content`).

A linear map of a content row. In training, whole blocks of the row are dropped at random, so that tracks with some of
the contents get useful vectors too: modality dropout as in Neverova, Wolf, Taylor, Nebout, "ModDrop: Adaptive
Multi-Modal Gesture Recognition" (TPAMI 2016), arXiv 1501.00102.

Legend: W content width, D width, M blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

RARE_ROW = 1
ITEMS_PER_CHUNK = 65_536
MAX_FACET_VALUES = 8
"""Values of a facet per track; further values are ignored."""


class ItemCodes(nn.Module):
    """Embedding rows of each of the V tracks, as buffers that are saved with the weights."""

    track_V: Tensor  # row of the id embedding; 0 padding, RARE_ROW shared by rare tracks
    artist_V: Tensor  # row of the artist embedding
    facet_VF: Tensor  # rows of the facet values; 0: none
    content_V: Tensor | None  # row of the content; 0: none. None: content is off
    content_RW: Tensor | None  # content [R + 1, W], float16; row 0 is zeros
    is_cold_V: Tensor | None  # tracks without any event in the training data
    content_block_W: Tensor | None  # block of each content column
    facet_share_V: Tensor  # 1 / number of facet values; derived from facet_VF and not saved

    def __init__(
        self,
        track_V: Tensor,
        artist_V: Tensor,
        facet_VF: Tensor,
        content_V: Tensor | None = None,
        content_RW: Tensor | None = None,
        is_cold_V: Tensor | None = None,
        content_block_W: Tensor | None = None,
    ) -> None:
        super().__init__()
        codes = {"track_V": track_V, "artist_V": artist_V, "facet_VF": facet_VF, "content_V": content_V}
        codes |= {"content_RW": content_RW, "is_cold_V": is_cold_V, "content_block_W": content_block_W}
        for name, tensor in codes.items():
            self.register_buffer(name, tensor)
        self.register_buffer("facet_share_V", 1 / (facet_VF > 0).sum(1).clamp(min=1), persistent=False)

    def sizes(self) -> tuple[int, int, int]:
        """Number of rows of the id, artist and facet embeddings."""
        rows = (self.track_V, self.artist_V, self.facet_VF)
        return tuple(int(codes.max()) + 1 if codes.numel() else 1 for codes in rows)  # type: ignore[return-value]


class ItemTower(nn.Module):
    """Vectors [..., D] of items: id + artist + mean of the facet values' embeddings + projection of the content.

    Args:
        codes: Embedding rows of the items.
        width: D.
        id_dropout: Share of the tracks with content that a training step treats as cold; half of them also lose their
            artist.
        modality_dropout: See `ContentTower`.
        sparse_gradients: Sparse gradients of the id and artist embeddings, for `SparseAdamW`.
    """

    def __init__(
        self,
        codes: ItemCodes,
        width: int,
        id_dropout: float = 0.0,
        modality_dropout: float = 0.0,
        *,
        sparse_gradients: bool = False,
    ) -> None:
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
        self.content: ContentTower | None = None
        if codes.content_block_W is not None:
            self.content = ContentTower(codes.content_block_W, width, modality_dropout)

    def forward(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Vectors of items of any shape.

        Args:
            items: Item codes [...].
            as_cold: Use the vectors that the items would have if neither they nor their artists had any plays.
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
        """Projection of the items' content, [..., D]; zeros without content."""
        codes = self.codes
        if self.content is None or codes.content_V is None or codes.content_RW is None:
            return self.track.weight.new_zeros((*items.shape, self.track.embedding_dim))
        return self.content(codes.content_RW[codes.content_V[items]].to(self.track.weight.dtype))

    def facet_embedding(self, items: Tensor) -> Tensor:
        """Mean of the embeddings of the items' facet values, [..., D]; zeros without any."""
        facet = self.codes.facet_VF[items]
        if not facet.shape[-1]:
            return self.facet.weight.new_zeros((*items.shape, self.facet.weight.shape[1]))
        # Fused: an embedding followed by a mean would store the vector of every value of every item. The padding row is
        # zeros, so it only has to be skipped in training, where skipping dominates the cost.
        bag: Tensor = functional.embedding_bag(
            facet.reshape(-1, facet.shape[-1]),
            self.facet.weight,
            mode="sum",
            padding_idx=0 if self.training else None,
        )
        return bag.view(*items.shape, self.facet.embedding_dim) * self.codes.facet_share_V[items].unsqueeze(-1)


class ContentTower(nn.Module):
    """Vectors [..., D] of content rows [..., W]; rows of zeros have vectors of zeros.

    Args:
        block_W: Block of each column of the rows.
        width: D.
        modality_dropout: Share of the blocks of a track that a training step leaves out.
    """

    block_W: Tensor

    def __init__(self, block_W: Tensor, width: int, modality_dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("block_W", torch.unique(block_W, return_inverse=True)[1], persistent=False)
        self.blocks = int(self.block_W.max()) + 1 if len(block_W) else 0
        self.modality_dropout = modality_dropout
        # No bias, so that missing content adds zeros.
        self.linear = nn.Linear(len(block_W), width, bias=False)
        nn.init.normal_(self.linear.weight, std=width**-0.5)

    def forward(self, row_W: Tensor) -> Tensor:
        """Vectors of rows of any shape; the number of contents that a track has does not change their scale."""
        if self.training and self.modality_dropout > 0 and self.blocks > 1:
            is_kept_M = torch.rand((*row_W.shape[:-1], self.blocks), device=row_W.device) >= self.modality_dropout
            row_W = row_W * is_kept_M[..., self.block_W]
        return self.linear(functional.normalize(row_W, dim=-1) * self.blocks**0.5)
