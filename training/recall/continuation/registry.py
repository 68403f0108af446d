"""All sources of playlist continuation that the fitted models of a release allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from training.data.collections import Collections
from training.data.vocabulary import Vocabulary
from training.recall.channel import RecallChannel
from training.recall.continuation.content_neighbors import ContentNeighbors
from training.recall.continuation.playlist_neighbors import PlaylistNeighbors, PlaylistNeighborsConfig
from training.recall.continuation.source import ContinuationSource, SimilarItems
from training.recall.continuation.titles import (
    TextVectors,
    TitlePlaylists,
    TitleWords,
    artist_lists,
    facet_lists,
    title_lists,
)
from training.recall.continuation.transition_neighbors import TransitionNeighbors
from training.recall.realtime.channel import Realtime

TITLE_SOURCES = (TitleWords.name, TitlePlaylists.name)
"""Sources that read the title and not the seeds."""


def channel_sources(channels: Mapping[str, RecallChannel]) -> dict[str, ContinuationSource]:
    """Sources from the channels that have item similarity, and from the transitions and the content of `realtime`."""
    sources: dict[str, ContinuationSource] = {
        name: SimilarItems(channel)
        for name, channel in channels.items()
        if type(channel).similar_items is not RecallChannel.similar_items
    }
    realtime = channels.get(Realtime.name)
    if isinstance(realtime, Realtime) and realtime.transitions is not None:
        sources[TransitionNeighbors.name] = TransitionNeighbors(realtime)
    if isinstance(realtime, Realtime) and realtime.item_codes.content_V is not None:
        sources[ContentNeighbors.name] = ContentNeighbors(realtime)
    return sources


def playlist_sources(
    playlists: Collections, numbers: np.ndarray, is_servable_V: np.ndarray, config: PlaylistNeighborsConfig
) -> dict[str, ContinuationSource]:
    """Sources from the tracks of the playlists with these numbers; none without playlists."""
    if not len(numbers):
        return {}
    return {PlaylistNeighbors.name: PlaylistNeighbors(playlists.tracks.take(numbers), is_servable_V, config)}


def title_sources(
    vectors: TextVectors | None,
    tracks: pl.DataFrame,
    vocabulary: Vocabulary,
    playlists: Collections | None,
    numbers: np.ndarray,
    is_servable_V: np.ndarray,
) -> dict[str, ContinuationSource]:
    """Sources that read the title; none without vectors.

    Args:
        vectors: Encoded facet values and titles, see `title_texts`.
        tracks: Rows with `track_id` and facets.
        vocabulary: Codes of the tracks.
        playlists: Playlists; None without any.
        numbers: The playlists that may be used.
        is_servable_V: Which items may be candidates.
    """
    if vectors is None:
        return {}
    facets = vectors.select(facet_lists(tracks, vocabulary))
    sources: dict[str, ContinuationSource] = {
        TitleWords.name: TitleWords(facets, artist_lists(vocabulary), is_servable_V)
    }
    if playlists is not None and len(numbers):
        titles = vectors.select(title_lists(playlists, numbers))
        sources[TitlePlaylists.name] = TitlePlaylists(titles, is_servable_V)
    return sources
