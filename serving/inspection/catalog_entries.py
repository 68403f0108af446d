"""Tracks, artists, albums and playlists of a release by id, with the tracks that may be played here and now."""

from __future__ import annotations

import numpy as np

from recommender.slate.filters import FilterContext, apply_filters
from recommender.user.exclusions import Exclusions
from serving.errors import UnknownTrack
from serving.inspection.library import artist_name, collection_title, describe_track
from serving.releases.served_release import ServedRelease
from serving.response_schemas import CatalogEntry, EntryKind, Track

MAX_TRACKS = 500


def describe_entry(
    kind: EntryKind, name: str, release: ServedRelease, at_us: int, territory: str, is_explicit_wanted: bool
) -> Track | CatalogEntry:
    """What the release has under an id: a track, or an artist, album or playlist with its first MAX_TRACKS tracks.

    Tracks of a playlist are in its order, tracks of an artist or an album by the number of their plays.

    Args:
        kind: Kind of entry.
        name: Id.
        release: Release that serves the request.
        at_us: Time of the request, µs UTC.
        territory: Upper-case country code; "" if unknown.
        is_explicit_wanted: Whether tracks with an advisory label are listed.

    Raises:
        UnknownTrack: The release has no entry with the id, or none of its tracks may be played.
    """
    catalog, code = release.catalog, release.vocabulary.track_code
    context = FilterContext(
        catalog,
        Exclusions(),
        code,
        at_us,
        territory=territory,
        is_explicit_wanted=is_explicit_wanted,
        wanted_sounds=None,
    )
    items, title = _find(kind, name, release)
    items = items[apply_filters(items, context)[0]]
    if not len(items):
        raise UnknownTrack(f"{kind} {name[:80]!r} is not in release {release.release_id}, or may not be played here")
    if kind == "track":
        return describe_track(release, int(items[0]))
    tracks = [describe_track(release, item) for item in items[:MAX_TRACKS].tolist()]
    return CatalogEntry(kind=kind, id=name, title=title, track_count=len(items), tracks=tracks)


def _find(kind: EntryKind, name: str, release: ServedRelease) -> tuple[np.ndarray, str]:
    """Items of an entry and its title; no items if the release does not have it."""
    catalog = release.catalog
    if kind == "track":
        return np.array([release.vocabulary.track_code.get(name, 0)]), ""
    if kind == "artist":
        code = catalog.artist_code.get(name)
        places = np.flatnonzero(catalog.artist_F == code) if code is not None else np.zeros(0, dtype=np.int64)
        items = np.unique(np.searchsorted(catalog.artist_offset_V1, places, side="right") - 1)
        return items, artist_name(name, release)
    if kind == "album":
        return release.target_tracks.items_of((kind, name)), catalog.album_titles.get(name, "")
    return release.target_tracks.items_of_playlist(name), collection_title(kind, name, release)
