"""Embeddings of history events and of candidates, shared by all rankers.

An event is the sum of five embeddings: track, artist, behavior, age and played ratio. A candidate is the sum of the
first two, from the same tables, so a dot product can detect the same track.

Shape letters: B requests, C candidates, L events, D width, V tracks, A artists.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from recommender.nn.ranker_layers import FrequencyCutEmbedding, Lookup
from recommender.ranking.features.user_features import GAP_BUCKETS, RATIO_BUCKETS
from recommender.ranking.inputs import BEHAVIOR_CODES, EventInputs


@dataclass(frozen=True)
class ItemFrequencies:
    """Number of training cases of each track and artist, which decides whether it has its own embedding."""

    track_counts_V: Tensor
    artist_counts_A: Tensor


class EventEmbedding(nn.Module):
    """Embeds events and candidates in one space."""

    def __init__(self, catalog: ItemFrequencies, width: int, minimum: int, id_dropout: float) -> None:
        super().__init__()
        self.width = width
        self.track = FrequencyCutEmbedding(catalog.track_counts_V, width, minimum, id_dropout)
        self.artist = FrequencyCutEmbedding(catalog.artist_counts_A, width, minimum, id_dropout)
        self.behavior = Lookup(BEHAVIOR_CODES, width, padding_idx=0)
        self.gap = Lookup(GAP_BUCKETS, width, padding_idx=0)
        self.ratio = Lookup(RATIO_BUCKETS, width, padding_idx=0)
        for table in (self.behavior, self.gap, self.ratio):
            nn.init.normal_(table.weight, std=0.05)
            table._fill_padding_idx_with_zero()

    def set_ids_trainable(self, is_trainable: bool) -> None:
        """Enable or disable gradients of the track and artist embeddings."""
        self.track.requires_grad_(is_trainable)
        self.artist.requires_grad_(is_trainable)

    def embed_events(self, events: EventInputs) -> Tensor:
        """Return the events [B, L, D]; zeros at padding."""
        identity_BLD = self.embed_tracks(events.track_BL, events.artist_BL)
        outcome_BLD = self.behavior(events.behavior_BL.clamp(max=BEHAVIOR_CODES - 1)) + self.ratio(events.ratio_BL)
        return identity_BLD + outcome_BLD + self.gap(events.gap_BL)

    def embed_tracks(self, track: Tensor, artist: Tensor) -> Tensor:
        """Return [..., D] of tracks and their artists [...]."""
        return self.track(track) + self.artist(artist)
