"""Sources of playlist continuation: `k` candidates for the seeds and the title of one playlist.

`PlaylistNeighbors` is item-kNN over playlists, tracks that are in the same playlists as the seeds: the cosine of two tracks'
playlists (Sarwar et al., WWW 2001), summed over the seeds. Here a playlist of n tracks counts 1 / n, because a long playlist
says less about a pair of its tracks. Validation playlists of every world that was tried chose this power, and no shrinkage of
tracks in few playlists.

Legend: S seeds, K candidates, P playlists, V vocabulary, N tracks of all playlists.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged, concatenate_ranges, top_k_positions
from recommender.recall.channel import RecallChannel, pad_rows

TITLE_SOURCES = ("title_words", "title_playlists")
"""Sources that read the title; of the seeds they read what the candidates must have."""


class ContinuationSource(Protocol):
    """One way to continue a playlist. A source does not read users, so its results depend on its arguments only."""

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """The `k` best items for a playlist, without its seeds, [1, K]; empty if the source has nothing to go by.

        Args:
            items_S: Distinct seeds in the order of the playlist; may be empty.
            title: Title of the playlist; may be empty.
            k: Number of candidates.
        """


class SimilarItems:
    """Items that a recall channel finds similar to the seeds."""

    def __init__(self, channel: RecallChannel) -> None:
        self._channel = channel

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """See `ContinuationSource`."""
        del title
        return self._channel.similar_items(items_S, k) if len(items_S) else pad_rows([items_S], k)


def top_k_items(score_V: np.ndarray, excluded: np.ndarray, k: int) -> Ints:
    """The `k` items with the highest positive scores, ties by smaller (more played) item, [1, K]; changes `score_V`.

    Args:
        score_V: Score of each item.
        excluded: Items to leave out.
        k: Number of candidates.
    """
    score_V[excluded] = 0
    item = np.flatnonzero(score_V > 0)
    return pad_rows([item[top_k_positions(score_V[item], k)]], k)


MAX_PLAYLISTS = 5_000
"""Playlists of the seeds that a request reads, those with the most seeds first; bounds the time of a request."""


class PlaylistNeighbors:
    """Tracks of the catalog by the cosine of their playlists with the playlists of the seeds.

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

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
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
