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

Position = tuple[str, int]


class PushMarker:
    """The low-water mark of pushed events; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Position, bool] = OrderedDict()
        self._mark = _read(path)
        self._written = self._mark

    @property
    def mark(self) -> Position | None:
        """Everything up to here has been pushed; None before the first push."""
        return self._mark

    @property
    def waiting(self) -> int:
        """How many positions lie after the mark: the lag of the online store in commits."""
        return len(self._waiting)

    def logged(self, position: Position) -> None:
        """A commit ended at this position. Call in log order."""
        with self._lock:
            self._waiting[position] = False

    def pushed(self, position: Position) -> None:
        """Everything of the commit that ended at this position is in the online store."""
        with self._lock:
            if position in self._waiting:
                self._waiting[position] = True
            while self._waiting and self._waiting[next(iter(self._waiting))]:
                self._mark, _ = self._waiting.popitem(last=False)

    def save(self) -> None:
        """Write the mark, whole or not at all."""
        mark = self._mark
        if mark is None or mark == self._written:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps({"file": mark[0], "offset": mark[1]}), encoding="utf-8")
        os.replace(draft, self._path)  # noqa: PTH105
        self._written = mark


def _read(path: Path) -> Position | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return str(stored["file"]), int(stored["offset"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Without a readable mark the recent log is pushed again, which is slower and no less right.
        return None
