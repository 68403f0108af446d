"""What responses say about a track: names, duration, facets and media."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.releases.track_media import audio_url, cover_url

if TYPE_CHECKING:
    from serving.releases.served_release import ServedRelease


@dataclass(frozen=True, kw_only=True)
class TrackDetails:
    """A track of a release."""

    track_id: str
    title: str
    artists: list[str]
    artist_ids: list[str] = field(default_factory=list)
    album_id: str | None = None  # None if unknown
    album: str = ""  # title; empty if unknown
    duration_ms: int = 0  # 0 if unknown
    facets: list[str] = field(default_factory=list)  # languages, styles, scenes, emotions and themes
    audio_url: str | None = None  # None if unknown
    cover_url: str | None = None


def track_details(release: ServedRelease, item: int) -> TrackDetails:
    """The details of an item."""
    return TrackDetails(**detail_fields(release, item))


def detail_fields(release: ServedRelease, item: int) -> dict[str, Any]:
    """The fields of an item's `TrackDetails`."""
    catalog = release.catalog
    album_id = catalog.album_ids_V[item]
    return {
        "track_id": str(release.vocabulary.track_ids_V[item]),
        "title": catalog.titles_V[item],
        "artists": catalog.artist_names_V[item],
        "artist_ids": catalog.artist_ids_of(item),
        "album_id": album_id or None,
        "album": catalog.album_titles.get(album_id, ""),
        "duration_ms": int(catalog.duration_ms_V[item]),
        "facets": catalog.facets.names_of(item),
        "audio_url": audio_url(release, item),
        "cover_url": cover_url(release, item),
    }
