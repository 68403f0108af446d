"""What responses say about a track: names, duration, facets, and URLs and files of its media."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from serving.errors import UnknownTrack
from storage.media_paths import MediaPathError, MediaPaths, MediaRootError

if TYPE_CHECKING:
    from serving.releases.served_release import ServedRelease


PREVIEW, COVER = "preview", "cover"
MAX_KEPT_DETAILS = 20_000

logger = logging.getLogger(__name__)


def detail_fields(release: ServedRelease, item: int) -> dict[str, Any]:
    """The fields of an item's `Track`; those of tracks that were shown are kept, and must not be changed."""
    fields = release.detail_fields.get(item)
    if fields is None:
        if len(release.detail_fields) >= MAX_KEPT_DETAILS:
            release.detail_fields.clear()
        fields = release.detail_fields[item] = _detail_fields(release, item)
    return fields


def _detail_fields(release: ServedRelease, item: int) -> dict[str, Any]:
    catalog, track_id = release.catalog, str(release.vocabulary.track_ids_V[item])
    album_id, audio_url = catalog.album_ids_V[item], catalog.audio_urls_V[item]
    path = track_id if track_id.isascii() and track_id.isalnum() else quote(track_id, safe="")
    return {
        "track_id": track_id,
        "title": catalog.titles_V[item],
        "artists": catalog.artist_names_V[item],
        "artist_ids": catalog.artist_ids_of(item),
        "album_id": album_id or None,
        "album": catalog.album_titles.get(album_id, ""),
        "duration_ms": int(catalog.duration_ms_V[item]),
        "facets": catalog.facets.names_of(item),
        # The URL of the catalog, or of the file that it names.
        "audio_url": audio_url or (f"media/{PREVIEW}/{path}" if catalog.audio_paths_V[item] else None),
        "cover_url": f"media/{COVER}/{path}" if catalog.cover_paths_V[item] else None,
    }


def find_file(release: ServedRelease, kind: str, track_id: str, paths: MediaPaths) -> Path:
    """The file with the audio or the cover of a track, which need not exist.

    Raises:
        UnknownTrack: The release does not have the track.
        FileNotFoundError: The track has no such file; the message does not name it, because clients read it.
    """
    item = release.vocabulary.track_code.get(track_id)
    if item is None or not release.catalog.is_served_V[item]:
        raise UnknownTrack(f"track {track_id[:80]!r} is not in release {release.release_id}")
    catalog = release.catalog
    landed = (catalog.audio_paths_V if kind == PREVIEW else catalog.cover_paths_V)[item]
    nothing = FileNotFoundError(f"there is no {kind} of the track {track_id[:80]!r}")
    if not landed:
        raise nothing
    try:
        return paths.resolve(landed)
    except (MediaPathError, MediaRootError) as error:
        logger.warning("%s of %s: %s", kind, track_id, error)
        raise nothing from error
