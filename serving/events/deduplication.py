"""Deduplication of reported events by the most recent event ids, in bounded memory.

Ids are stored as 64-bit hashes: with 500,000 of them, a new id collides about once in 10^13 events. A repeat older than the
window is logged again and removed when the log is landed, which deduplicates by `event_id` without a window.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from contextlib import suppress
from pathlib import Path

from storage import daily_files

CAPACITY = 500_000
LINE_BYTES = 512


class RecentEventIds:
    """A set that evicts its oldest members; one thread changes it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, event_id: str) -> bool:
        """Whether the id is a member; may be called from any thread."""
        return _code(event_id) in self._known

    def add(self, event_id: str) -> bool:
        """Add an id; return whether it is new."""
        return self._add(_code(event_id))

    def remove_newest(self, count: int) -> None:
        """Remove the ids that were added last, whose events could not be logged."""
        for _ in range(min(count, len(self._order))):
            self._known.discard(self._order.pop())

    def load(self, paths: list[Path]) -> None:
        """Load the newest ids of log files, given oldest first."""
        newest: deque[list[int]] = deque()
        remaining = self._capacity
        for path in reversed(paths):
            if remaining <= 0:
                break
            found = _ids_at_end(path, remaining)
            newest.appendleft(found)
            remaining -= len(found)
        for found in newest:
            for code in found:
                self._add(code)

    def _add(self, code: int) -> bool:
        if code in self._known:
            return False
        self._known.add(code)
        self._order.append(code)
        while len(self._order) > self._capacity:
            self._known.discard(self._order.popleft())
        return True


def _ids_at_end(path: Path, max_ids: int) -> list[int]:
    # A line has about 300 bytes, so this reads only the part of a large file that may be needed.
    start = max(0, path.stat().st_size - max_ids * LINE_BYTES)
    found: deque[int] = deque(maxlen=max_ids)
    for line, _ in daily_files.read_lines(path, start):
        # A damaged line is no event, even if it begins with an id: the event is new when it is reported again.
        with suppress(ValueError, KeyError, TypeError):
            found.append(_code(json.loads(line)["event_id"]))
    return list(found)


def _code(event_id: str) -> int:
    return _hash(json.dumps(event_id).encode())


def _hash(encoded_id: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(encoded_id, digest_size=8).digest(), "big")
