"""Low watermark of the event log: the position up to which all events are in the online store, kept across restarts.

A position is (file relative to the log's folder, offset after the line). Events may be pushed in any order. The watermark may
lag behind, but is never ahead: replaying events that the store already has changes nothing.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from pathlib import Path

LogPosition = tuple[str, int]


class LowWatermark:
    """Tracks logged and pushed commits; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pending: OrderedDict[LogPosition, bool] = OrderedDict()
        self._position = _read(path)
        self._saved_position = self._position

    @property
    def position(self) -> LogPosition | None:
        """Position up to which everything was pushed; None before the first push."""
        return self._position

    @property
    def pending_commits(self) -> int:
        """Number of commits after the watermark: the lag of the online store."""
        return len(self._pending)

    def mark_logged(self, position: LogPosition) -> None:
        """Record a commit that ended at this position; call in log order."""
        with self._lock:
            self._pending[position] = False

    def mark_pushed(self, position: LogPosition) -> None:
        """Record that the commit that ended at this position is in the online store."""
        with self._lock:
            if position in self._pending:
                self._pending[position] = True
            while self._pending and self._pending[next(iter(self._pending))]:
                self._position, _ = self._pending.popitem(last=False)

    def save(self) -> None:
        """Write the watermark atomically."""
        position = self._position
        if position is None or position == self._saved_position:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps({"file": position[0], "offset": position[1]}), encoding="utf-8")
        os.replace(draft, self._path)  # noqa: PTH105
        self._saved_position = position


def _read(path: Path) -> LogPosition | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return str(stored["file"]), int(stored["offset"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Without a readable watermark the recent log is pushed again, which is slower but correct.
        return None
