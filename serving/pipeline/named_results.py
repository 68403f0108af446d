"""Artists, albums and playlists whose names match a query: equal names, their beginnings, and names with typing errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.search.named_tracks import best_names, normalize_name
from recommender.search.query_parser import Query
from recommender.slate.filters import FilterContext, apply_filters
from serving.inspection.library import collection_title
from serving.releases.served_release import ServedRelease
from serving.response_schemas import FoundAlbum, FoundArtist, FoundPlaylist

MAX_FOUND = 6


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
    excluded = {one for kind, one in context.exclusions.collections if kind == "playlist"}
    playlists = {one: name for one, name in release.playlist_names.items() if one not in excluded}
    named = [{one: normalize_name(name) for one, name in names.items()} for names in (artists, titles)]
    return {
        "artists": [
            FoundArtist(artist_id=one, name=artists[one], track_count=catalog.track_count(one))
            for one in best_names(text, content, named[0], MAX_FOUND)
        ],
        "albums": [
            FoundAlbum(album_id=one, title=titles[one], artists=catalog.artist_names_V[albums[one]])
            for one in best_names(text, content, named[1], MAX_FOUND)
        ],
        "playlists": [
            FoundPlaylist(playlist_id=one, title=collection_title("playlist", one, release))
            for one in best_names(text, content, playlists, MAX_FOUND)
        ],
    }
