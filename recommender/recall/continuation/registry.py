"""All sources of playlist continuation that the fitted models of a release allow.

Tracks that sound, look and read like the seeds, also those without plays, by the content that `realtime` has learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recommender.array_types import Array, Floats, Ints
from recommender.catalog.catalog import TrackFacets
from recommender.catalog.collections import Collections
from recommender.catalog.vocabulary import Vocabulary
from recommender.nn.compiled_layers import unit_rows
from recommender.nn.vector_index import VectorIndex
from recommender.recall.channel import RecallChannel
from recommender.recall.continuation.source import ContinuationSource, PlaylistNeighbors, SimilarItems
from recommender.recall.continuation.titles import (
    FacetTracks,
    TextVectors,
    TitlePlaylists,
    TitleWords,
    WithoutUnwanted,
    artist_lists,
    title_lists,
)
from recommender.recall.realtime import Realtime
from recommender.search.query_parser import QueryParser

MAX_TRACKS = 200_000
"""The most played tracks that are compared; 256 bytes each."""


@dataclass(frozen=True)
class TitleData:
    """What titles are read by."""

    parser: QueryParser
    facets: TrackFacets
    vocabulary: Vocabulary
    vectors: TextVectors | None  # of titles of playlists; None: similar titles are not looked for


def channel_sources(channels: Mapping[str, RecallChannel]) -> dict[str, ContinuationSource]:
    """Sources from the channels that have item similarity, and from the content of `realtime`."""
    sources: dict[str, ContinuationSource] = {
        name: SimilarItems(channel)
        for name, channel in channels.items()
        if type(channel).similar_items is not RecallChannel.similar_items
    }
    realtime = channels.get(Realtime.name)
    if isinstance(realtime, Realtime):
        content_V, content_RW = realtime.item_codes("content_V"), realtime.item_codes("content_RW")
        if content_V is not None and content_RW is not None:
            sources[ContentNeighbors.name] = ContentNeighbors(content_V, content_RW, realtime.catalog)
    return sources


def all_sources(
    channels: Mapping[str, RecallChannel],
    playlists: Collections,
    numbers: np.ndarray,
    titles: TitleData,
    is_servable_V: np.ndarray,
) -> dict[str, ContinuationSource]:
    """All sources.

    Args:
        channels: Channels of the release.
        playlists: Playlists.
        numbers: The playlists that may be used.
        titles: Reads titles.
        is_servable_V: Which items may be candidates.
    """
    sources = channel_sources(channels)
    if len(numbers):
        sources[PlaylistNeighbors.name] = PlaylistNeighbors(playlists.tracks.take(numbers), is_servable_V)
    facets = FacetTracks(titles.facets.items_of, len(is_servable_V))
    words = TitleWords(titles.parser, facets, artist_lists(titles.vocabulary), is_servable_V)
    if len(numbers) and titles.vectors is not None:
        lists = titles.vectors.select(title_lists(playlists, numbers))
        sources[TitlePlaylists.name] = TitlePlaylists(lists, facets, is_servable_V)
    return {words.name: words} | {name: WithoutUnwanted(source, words) for name, source in sources.items()}


class ContentNeighbors:
    """Tracks of the catalog by the cosine between their content and the mean content of the seeds.

    Args:
        content_V: Row of the content of each item; 0: none.
        content_RW: Content; row 0 is zeros.
        catalog: Items that may be candidates, numbered by decreasing play count.
    """

    name = "content"

    def __init__(self, content_V: Ints, content_RW: Array, catalog: Ints) -> None:
        self._content_V, self._content_RW = content_V, content_RW
        items = catalog[:MAX_TRACKS]
        row_NW = self._content(items)
        has_content_N = row_NW.any(axis=1)
        self._index = VectorIndex.of(items[has_content_N], row_NW[has_content_N])

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """See `ContinuationSource`; ignores the title, and seeds without content."""
        del title
        mean_1W = self._content(items_S).sum(0, keepdims=True)
        if not mean_1W.any():
            return np.zeros((1, k), dtype=np.int64)
        return self._index.search(unit_rows(mean_1W)[None], k, items_S[None])[0]

    def _content(self, items: Ints) -> Floats:
        """Content of items as rows of unit length, or of zeros [N, W]."""
        return unit_rows(self._content_RW[self._content_V[items]].astype(np.float32))
