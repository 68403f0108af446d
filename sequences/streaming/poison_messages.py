"""Poison message detection: isolation of messages that were in progress when their consumer crashed.

One of them may have caused the crash. The next owner of the stream applies each of them separately and counts the attempt
beforehand, so that a message that crashes consumers is identified and other messages are not blamed. Independent of the
application of messages.
"""

from __future__ import annotations

from typing import Any

from sequences.streaming.message import Topic

MAX_ISOLATED_ATTEMPTS = 2
"""Isolated attempts per message; including the first, batched attempt, it has then crashed three consumers."""

EntryId = tuple[int, int]


class PoisonMessageTracker:
    """Tracker for the partitions of one consumer; `client` is a redis-py asyncio client."""

    def __init__(self, client: Any, topic: Topic) -> None:
        self._client, self._topic = client, topic
        self._last_suspected: dict[int, EntryId] = {}

    async def take_over(self, partition: int, group: str) -> None:
        """Mark messages that earlier groups have delivered but not finished as suspects, and remove these groups."""
        stream = self._topic.stream(partition)
        self._last_suspected.pop(partition, None)
        for other in await self._client.xinfo_groups(stream):
            if other["name"] == group.encode():
                continue
            if other["pending"]:
                last = (await self._client.xpending(stream, other["name"]))["max"]
                self._last_suspected[partition] = max(
                    self._last_suspected.get(partition, (0, 0)), _parse_entry_id(last)
                )
            await self._client.xgroup_destroy(stream, other["name"])

    def count_suspected(self, partition: int, ids: list[bytes]) -> int:
        """Number of suspects among these ids in stream order; suspects are the first ones."""
        last = self._last_suspected.get(partition, (0, 0))
        return sum(_parse_entry_id(entry) <= last for entry in ids)

    async def record_attempt(self, partition: int, entry: bytes) -> int:
        """Count an attempt that is about to start; returns the number of attempts including it."""
        return int(await self._client.hincrby(self._attempts_key(partition), entry, 1))

    async def undo_attempt(self, partition: int, entry: bytes) -> None:
        """Uncount an attempt that failed for another reason without crashing the consumer."""
        await self._client.hincrby(self._attempts_key(partition), entry, -1)

    async def clear_attempts(self, partition: int, entry: bytes) -> None:
        """Delete the counter of a message that has left the stream."""
        await self._client.hdel(self._attempts_key(partition), entry)

    def _attempts_key(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:tries"


def _parse_entry_id(entry: bytes) -> EntryId:
    milliseconds, number = entry.split(b"-")
    return int(milliseconds), int(number)
