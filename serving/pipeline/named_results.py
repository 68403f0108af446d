"""Artists, albums and playlists whose names match a query: equal names, their beginnings, and names with typing errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.search.named_tracks import best_names
from recommender.search.query_parser import Query
from recommender.slate.filters import FilterContext, apply_filters
from serving.releases.served_release import ServedRelease
from serving.response_schemas import FoundAlbum, FoundArtist, FoundPlaylist

MAX_FOUND = 6
MAX_SCANNED_TITLES = 20_000
"""Number of most opened playlists that are searched."""


def find_named(text: str, query: Query, release: ServedRelease, context: FilterContext) -> dict[str, list[Any]]:
    """At most MAX_FOUND `artists`, `albums` and `playlists` each, best first: of playable tracks, and nothing that is blocked.

    Args:
        text: The query as the user wrote it.
        query: The parsed query.
        release: The release.
        context: Catalog and user of the request.
    """
    catalog, content = release.catalog, query.content or text

    def playable(field: str) -> list[int]:
        item_C = np.array(release.search.items_named(content, field), dtype=np.int64)
        return item_C[apply_filters(item_C, context)[0]].tolist()

    artists = {
        artist: name
        for item in playable("artist")
        for artist, name in zip(catalog.artist_ids_of(item), catalog.artist_names_V[item], strict=False)
    }
    albums = {album: item for item in playable("album") if (album := catalog.album_ids_V[item])}
    titles = {album: catalog.album_titles.get(album, "") for album in albums}
    playlists = {
        index.collections.ids_N[number]: index.collections.titles_N[number]
        for name, index in release.collection_indexes.items()
        if name == "playlists"
        for number in index.popular_K[:MAX_SCANNED_TITLES]
        if ("playlist", index.collections.ids_N[number]) not in context.exclusions.collections
    }
    return {
        "artists": [
            FoundArtist(artist_id=one, name=artists[one], track_count=catalog.track_count(one))
            for one in best_names(text, content, artists, MAX_FOUND)
        ],
        "albums": [
            FoundAlbum(album_id=one, title=titles[one], artists=catalog.artist_names_V[albums[one]])
            for one in best_names(text, content, titles, MAX_FOUND)
        ],
        "playlists": [
            FoundPlaylist(playlist_id=one, title=playlists[one])
            for one in best_names(text, content, playlists, MAX_FOUND)
        ],
    }
