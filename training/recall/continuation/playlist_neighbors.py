"""Item-kNN over playlists: tracks that are in the same playlists as the seeds.

The cosine of two tracks' playlists (Sarwar et al., WWW 2001), summed over the seeds. Here a playlist of n tracks counts
1 / n, because a long playlist says less about a pair of its tracks. Validation playlists of every world that was tried chose
this power, and no shrinkage of tracks in few playlists.

Legend: S seeds, P playlists, V vocabulary, N tracks of all playlists.
"""

from __future__ import annotations

import numpy as np

from training.data.ragged import Ragged, concatenate_ranges
from training.recall.channel import Candidates
from training.recall.continuation.source import top_k_items

MAX_PLAYLISTS = 5_000
"""Playlists of the seeds that a request reads, those with the most seeds first; bounds the time of a request."""


class PlaylistNeighbors:
    """Tracks of the catalog by the cosine of their playlists with those of the seeds.

    Args:
        tracks: Items of each playlist, distinct.
        is_servable_V: Which items may be candidates.
    """

    name = "playlist_neighbors"

    def __init__(self, tracks: Ragged, is_servable_V: np.ndarray) -> None:
        self._tracks, self._is_servable_V = tracks, is_servable_V
        V = len(is_servable_V)
        playlist_N = tracks.case_per_item
        order = np.argsort(tracks.items, kind="stable")
        count_V = np.bincount(tracks.items, minlength=V)
        self._playlists_of_track = Ragged(playlist_N[order], np.concatenate([[0], np.cumsum(count_V)]))
        self._weight_P = 1 / np.maximum(tracks.count_C, 1)
        self._scale_V = 1 / np.sqrt(np.maximum(count_V, 1e-9))

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`; ignores the title."""
        del title
        offset_V1 = self._playlists_of_track.offset_C1
        place, seed = concatenate_ranges(offset_V1[items_S], offset_V1[items_S + 1])
        playlist, number = np.unique(self._playlists_of_track.items[place], return_inverse=True)
        strength = np.bincount(number, self._scale_V[items_S][seed], len(playlist)) * self._weight_P[playlist]
        if len(playlist) > MAX_PLAYLISTS:
            kept = np.sort(np.argsort(-strength, kind="stable")[:MAX_PLAYLISTS])
            playlist, strength = playlist[kept], strength[kept]
        offset_P1 = self._tracks.offset_C1
        place, of_playlist = concatenate_ranges(offset_P1[playlist], offset_P1[playlist + 1])
        score_V = np.bincount(self._tracks.items[place], strength[of_playlist], len(self._scale_V))
        return top_k_items(score_V * self._scale_V * self._is_servable_V, items_S, k)
