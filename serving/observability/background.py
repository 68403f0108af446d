"""Something that is done again and again in the background, whatever came of it the last time. Knows nothing about what."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicTask:
    """From `start` on calls `work` at once and every `every_s` seconds, in a thread of its own; what it raises is logged."""

    def __init__(self, name: str, every_s: float, work: Callable[[], object]) -> None:
        self._interval_s, self._work = every_s, work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_closing(self) -> bool:
        """Whether work that takes long should leave the rest."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def close(self) -> None:
        """End, when what is being done is done."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work()
            except Exception:
                logger.exception("%s failed and tries again in %g s", self._thread.name, self._interval_s)
            self._stop.wait(self._interval_s)
