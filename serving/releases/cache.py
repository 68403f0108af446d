"""Bounded cache of releases for the recall and ranking services: loaded on first use.

The recommender requests a release while warming it up, before it serves users. So these services do not have to follow the
active-release file, and cannot disagree with the recommender. Knows nothing about how releases are used.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from config import garbage_collector
from serving.releases.served_release import ServedRelease
from training.release import model_store, traffic_split

logger = logging.getLogger(__name__)


class NoSuchRelease(LookupError):
    """The model store does not have the release, or not completely."""


class ReleaseCache:
    """Keeps the canary releases and two more: production, and its predecessor or successor; thread-safe.

    Args:
        load: Loads a release from its folder.
        folder: Folder of `shares.json`.
    """

    def __init__(self, load: Callable[[Path], ServedRelease], folder: Path) -> None:
        self._load, self._traffic_split_file = load, folder / traffic_split.TRAFFIC_SPLIT_FILE
        self._loaded: OrderedDict[str, ServedRelease] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def get(self, release_id: str) -> ServedRelease:
        """The release, loaded if necessary, without a timeout.

        Raises:
            NoSuchRelease: The store does not have it.
        """
        found = self._lookup(release_id)
        if found is not None:
            return found
        with self._loading:
            found = self._lookup(release_id)
            return self._read(release_id) if found is None else found

    def _lookup(self, release_id: str) -> ServedRelease | None:
        with self._lock:
            found = self._loaded.get(release_id)
            if found is not None:
                self._loaded.move_to_end(release_id)
            return found

    def _read(self, release_id: str) -> ServedRelease:
        path = model_store.find_version(release_id) if model_store.is_valid_version(release_id) else None
        if path is None:
            raise NoSuchRelease(f"release {release_id[:80]!r} is not in the store, or not whole")
        release = self._load(path)
        capacity = 2 + len(traffic_split.read(self._traffic_split_file).canaries)
        with self._lock:
            self._loaded[release_id] = release
            evicted = [self._loaded.popitem(last=False)[0] for _ in range(len(self._loaded) - capacity)]
        garbage_collector.freeze_gc()
        logger.info("release %s is loaded; evicted: %s", release_id, ", ".join(evicted) or "none")
        return release
