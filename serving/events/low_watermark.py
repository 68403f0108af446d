"""How far the event log has reached the online store, kept across restarts.

A position is (file relative to the log's folder, offset after the line). Events may be pushed in any order; the marker
is the position up to which all of them are. It may lag behind the truth, never run ahead: a replay applies events
that the store already has, which changes nothing.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from pathlib import Path

LogPosition = tuple[str, int]


class LowWatermark:
    """The low-water mark of pushed events; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pending: OrderedDict[LogPosition, bool] = OrderedDict()
        self._position = _read(path)
        self._saved_position = self._position

    @property
    def position(self) -> LogPosition | None:
        """Everything up to here has been pushed; None before the first push."""
        return self._position

    @property
    def pending_commits(self) -> int:
        """How many positions lie after the mark: the lag of the online store in commits."""
        return len(self._pending)

    def mark_logged(self, position: LogPosition) -> None:
        """A commit ended at this position. Call in log order."""
        with self._lock:
            self._pending[position] = False

    def mark_pushed(self, position: LogPosition) -> None:
        """Everything of the commit that ended at this position is in the online store."""
        with self._lock:
            if position in self._pending:
                self._pending[position] = True
            while self._pending and self._pending[next(iter(self._pending))]:
                self._position, _ = self._pending.popitem(last=False)

    def save(self) -> None:
        """Write the mark, whole or not at all."""
        mark = self._position
        if mark is None or mark == self._saved_position:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps({"file": mark[0], "offset": mark[1]}), encoding="utf-8")
        os.replace(draft, self._path)  # noqa: PTH105
        self._saved_position = mark


def _read(path: Path) -> LogPosition | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return str(stored["file"]), int(stored["offset"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Without a readable mark the recent log is pushed again, which is slower and no less right.
        return None
