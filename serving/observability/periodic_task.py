"""Periodic background task that keeps running after failures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicTask:
    """Calls `work` immediately after `start` and then every `every_s` seconds, in its own thread; exceptions are logged."""

    def __init__(self, name: str, every_s: float, work: Callable[[], object]) -> None:
        self._interval_s, self._work = every_s, work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; call once."""
        self._thread.start()

    def close(self, is_awaited: bool = True) -> None:
        """Stop after the current call of `work`, and wait for its end if it `is_awaited`."""
        self._stop.set()
        if is_awaited and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work()
            except Exception:
                logger.exception("%s failed; retrying in %g s", self._thread.name, self._interval_s)
            self._stop.wait(self._interval_s)
