"""Releases by id as a service beside the recommender needs them: loaded when they are first asked for, a few are kept.

The recommender asks for a release while it warms it, before any user gets it, so nothing has to follow the pointers here
and the two can never disagree. Knows nothing about what is asked of a release.
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
    """The store has no such release."""


class ReleaseCache:
    """Thread-safe. Beside those with a share there are two: production, and the one that will be or was it.

    Args:
        load: a release from its folder.
        folder: where `shares.json` lies.
    """

    def __init__(self, load: Callable[[Path], ServedRelease], folder: Path) -> None:
        self._load, self._traffic_split_file = load, folder / traffic_split.TRAFFIC_SPLIT_FILE
        self._loaded: OrderedDict[str, ServedRelease] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def get(self, release_id: str) -> ServedRelease:
        """The release, however long it takes to load.

        Raises:
            NoSuchRelease: it is not in the store.
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
        most = 2 + len(traffic_split.read(self._traffic_split_file).canaries)
        with self._lock:
            self._loaded[release_id] = release
            left = [self._loaded.popitem(last=False)[0] for _ in range(len(self._loaded) - most)]
        garbage_collector.freeze_gc()
        logger.info("release %s is loaded; %s left", release_id, ", ".join(left) or "none")
        return release
