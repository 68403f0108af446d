"""Messages that were in the hands of a consumer which died: one of them may be what it died of.

Whoever takes the stream over applies each of them by itself and counts it before, so that a message which ends its
consumers becomes known and its neighbours do not share its count. Knows nothing about what applying means.
"""

from __future__ import annotations

from typing import Any

from sequences.streaming.message import Topic

MAX_ISOLATED_ATTEMPTS = 2
"""How often a message is applied by itself: with the first time, among others, it has then ended three consumers."""

EntryId = tuple[int, int]


class PoisonMessageTracker:
    """Of every partition of one consumer; `client` is redis-py's, asyncio."""

    def __init__(self, client: Any, topic: Topic) -> None:
        self._client, self._topic = client, topic
        self._last_suspected: dict[int, EntryId] = {}

    async def take_over(self, partition: int, group: str) -> None:
        """What the stream's groups have delivered and nobody has finished is suspected; `group` is the only one after."""
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
        """How many of these ids, which are in the stream's order, are suspected: the first ones."""
        last = self._last_suspected.get(partition, (0, 0))
        return sum(_parse_entry_id(one) <= last for one in ids)

    async def record_attempt(self, partition: int, entry: bytes) -> int:
        """How often this message has been tried, with the time that is about to come."""
        return int(await self._client.hincrby(self._attempts_key(partition), entry, 1))

    async def undo_attempt(self, partition: int, entry: bytes) -> None:
        """That was no try: something else was in the way, and the consumer lives."""
        await self._client.hincrby(self._attempts_key(partition), entry, -1)

    async def clear_attempts(self, partition: int, entry: bytes) -> None:
        """The message is out of the stream."""
        await self._client.hdel(self._attempts_key(partition), entry)

    def _attempts_key(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:tries"


def _parse_entry_id(entry: bytes) -> EntryId:
    milliseconds, number = entry.split(b"-")
    return int(milliseconds), int(number)
