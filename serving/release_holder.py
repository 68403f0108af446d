"""Which release answers: follows `active.json`, loads a new one beside the old, warms it, and swaps by one assignment.

A request takes the reference once and keeps it, so an answer never mixes two releases, and a swap waits for nobody. A
release that cannot be loaded or fails its warm-up is refused, counted, and the old one goes on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from serving.metrics import Metrics
from serving.served_release import ServedRelease

POLL_S = 1.0

logger = logging.getLogger(__name__)

Load = Callable[[Path], ServedRelease]
WarmUp = Callable[[ServedRelease], None]


class ReleaseHolder:
    """Holds the release in service; one background thread replaces it.

    Args:
        active: the pointer file, `{"release": …, "path": …}`, replaced whole by `training.release`.
        load: a release from its folder.
        warm_up: raises when the release cannot answer.
    """

    def __init__(self, active: Path, load: Load, warm_up: WarmUp, metrics: Metrics, poll_s: float = POLL_S) -> None:
        self._active, self._load, self._warm_up, self._metrics, self._poll_s = active, load, warm_up, metrics, poll_s
        self._current: ServedRelease | None = None
        self._seen = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="release-holder", daemon=True)

    @property
    def current(self) -> ServedRelease | None:
        """The release in service; None before the first."""
        return self._current

    def start(self) -> None:
        """Follow the pointer in the background, the first look at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop following; the release stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> bool:
        """Whether a new release was taken into service. A pointer that was refused is tried again when it changes."""
        try:
            pointer = self._active.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        if pointer == self._seen:
            return False
        self._seen = pointer
        try:
            release = self._load(Path(json.loads(pointer)["path"]))
            self._warm_up(release)
        except Exception:
            serving = self._current.release_id if self._current else "none"
            logger.exception("the release of %s is refused; %s goes on serving", self._active, serving)
            self._metrics.releases.labels("refused").inc()
            return False
        self._current = release
        self._metrics.releases.labels("served").inc()
        self._metrics.release_loaded_at.set(time.time())
        logger.info("release %s is in service", release.release_id)
        return True

    def _follow(self) -> None:
        while True:
            try:
                self.poll()
            except OSError:
                logger.exception("%s cannot be read; the release stays", self._active)
            if self._stop.wait(self._poll_s):
                return
