"""The event ids seen lately, in bounded memory: how a repeated report is recognised.

Ids are kept as 64-bit hashes: with 500,000 of them a new id is taken for an old one about once in 10^13 events. A
repeat from before the window is logged again, and dropped where the log lands: there `event_id` counts for good.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from pathlib import Path

from serving.events import daily_jsonl

CAPACITY = 500_000
LINE_BYTES = 512
_ID = re.compile(rb'\{"event_id":("(?:[^"\\]|\\.)*")')


class RecentEventIds:
    """A set that forgets its oldest members; not thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, event_id: str) -> bool:
        """Whether the id is new; it is known from now on."""
        return self._add(_hash(json.dumps(event_id).encode()))

    def discard(self, event_id: str) -> None:
        """Forget an id whose event could not be logged."""
        code = _hash(json.dumps(event_id).encode())
        if code in self._known:
            self._known.discard(code)
            self._order.remove(code)

    def load(self, paths: list[Path]) -> None:
        """Learn the newest ids of log files, given oldest first; each line begins with its `event_id`."""
        newest: deque[list[int]] = deque()
        room = self._capacity
        for path in reversed(paths):
            if room <= 0:
                break
            found = _ids_at_end(path, room)
            newest.appendleft(found)
            room -= len(found)
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


def _ids_at_end(path: Path, most: int) -> list[int]:
    # A line is about 300 bytes, so this reads no more of a huge file than may be needed.
    start = max(0, path.stat().st_size - most * LINE_BYTES)
    found: deque[int] = deque(maxlen=most)
    for line, _ in daily_jsonl.read_lines(path, start):
        match = _ID.match(line)
        if match:
            found.append(_hash(match.group(1)))
    return list(found)


def _hash(encoded_id: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(encoded_id, digest_size=8).digest(), "big")
