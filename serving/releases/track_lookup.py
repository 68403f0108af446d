"""Looks up single tracks in the releases in service: by id, and by title and artist for listens that name no id."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from config.settings import Settings
from recommender.catalog.catalog import Catalog
from sequences.sequence_batch import FIRST_CODE
from serving.errors import UnknownTrack
from serving.releases.manager import ReleaseManager
from serving.response_schemas import PREVIEW
from storage.media_paths import MediaPathError, MediaPaths, MediaRootError

logger = logging.getLogger(__name__)


class TrackLookup:
    """Answers by the releases of the moment: by production unless a method is about a user.

    Args:
        settings: Settings of the service.
        releases: Releases in service.
    """

    def __init__(self, settings: Settings, releases: ReleaseManager) -> None:
        self._settings, self._releases = settings, releases
        self._names: dict[str, TrackNames] = {}  # by release

    def duration_of(self, track_id: str) -> int | None:
        """Duration in ms; None if it is unknown."""
        release = self._releases.current
        item = release.vocabulary.track_code.get(track_id) if release else None
        return int(release.catalog.duration_ms_V[item]) or None if release and item is not None else None

    def is_known(self, track_id: str) -> bool:
        """Whether the release has the track; True without a release, which cannot tell."""
        release = self._releases.current
        return release is None or track_id in release.vocabulary.track_code

    def find_by_names(self, names: Sequence[tuple[str, str]], user_id: str) -> list[str | None]:
        """Ids of the tracks with these titles and artists in the release that serves the user; None without one.

        The first call for a release takes some microseconds per track.

        Raises:
            NotReady: No release is in service yet.
        """
        release = self._releases.serving_release(user_id)
        index = self._names.get(release.release_id)
        if index is None:
            index = TrackNames(release.catalog)
            in_service = {one.release_id for one in self._releases.releases}
            kept = {name: one for name, one in self._names.items() if name in in_service}
            self._names = {**kept, release.release_id: index}
        items = [index.find(title, artist) for title, artist in names]
        return [None if item is None else str(release.vocabulary.track_ids_V[item]) for item in items]

    def find_media(self, kind: str, track_id: str) -> Path:
        """The file with the audio or the cover of a track, which need not exist.

        Raises:
            UnknownTrack: The release does not have the track, or the track has no such file.
            NotReady: No release is in service yet.
        """
        release = self._releases.serving_release("")
        item = release.vocabulary.track_code.get(track_id)
        if item is None or not release.catalog.is_served_V[item]:
            raise UnknownTrack(f"track {track_id[:80]!r} is not in release {release.release_id}")
        catalog = release.catalog
        landed = (catalog.audio_paths_V if kind == PREVIEW else catalog.cover_paths_V)[item]
        # Clients read the message, so it does not name the file.
        nothing = UnknownTrack(f"there is no {kind} of the track {track_id[:80]!r}")
        if not landed:
            raise nothing
        # A new object for each request, so that folders that were landed again are found.
        paths = MediaPaths(self._settings.media, self._settings.media_root)
        try:
            return paths.resolve(landed)
        except (MediaPathError, MediaRootError) as error:
            logger.warning("%s of %s: %s", kind, track_id, error)
            raise nothing from error


class TrackNames:
    """An index of hashes, which takes 16 bytes per name. Upper case and repeated spaces make no difference."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        keys, items = array("q"), array("q")
        for item in range(FIRST_CODE, len(catalog.titles_V)):
            for name in self._names(item):
                keys.append(hash(name))
                items.append(item)
        keys_N, items_N = np.array(keys), np.array(items)
        # Of equal names, the most played track that may be served: items are numbered by decreasing play count.
        order_N = np.lexsort((items_N, ~catalog.is_served_V[items_N], keys_N))
        self._keys_N, self._items_N = keys_N[order_N], items_N[order_N]

    def find(self, title: str, artist: str) -> int | None:
        """The item with this title, and with this artist or these artists, separated by commas; None without one."""
        name = _plain(title), _plain(artist)
        first = int(np.searchsorted(self._keys_N, hash(name), "left"))
        after = int(np.searchsorted(self._keys_N, hash(name), "right"))
        return next((item for item in self._items_N[first:after].tolist() if name in self._names(item)), None)

    def _names(self, item: int) -> Iterator[tuple[str, str]]:
        title, artists = _plain(self._catalog.titles_V[item]), self._catalog.artist_names_V[item]
        if title:
            yield from ((title, artist) for artist in {*map(_plain, artists), _plain(", ".join(artists))})


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
