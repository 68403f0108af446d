"""Messages that were in the hands of a consumer which died: one of them may be what it died of.

Whoever takes the stream over applies each of them by itself and counts it before, so that a message which ends its
consumers becomes known and its neighbours do not share its count. Knows nothing about what applying means.
"""

from __future__ import annotations

from typing import Any

from sequences.broker.message import Topic

TRIES = 2
"""How often a message is applied by itself: with the first time, among others, it has then ended three consumers."""

Entry = tuple[int, int]


class Suspects:
    """Of every partition of one consumer; `client` is redis-py's, asyncio."""

    def __init__(self, client: Any, topic: Topic) -> None:
        self._client, self._topic = client, topic
        self._last: dict[int, Entry] = {}

    async def take_over(self, partition: int, group: str) -> None:
        """What the stream's groups have delivered and nobody has finished is suspected; `group` is the only one after."""
        stream = self._topic.stream(partition)
        self._last.pop(partition, None)
        for other in await self._client.xinfo_groups(stream):
            if other["name"] == group.encode():
                continue
            if other["pending"]:
                last = (await self._client.xpending(stream, other["name"]))["max"]
                self._last[partition] = max(self._last.get(partition, (0, 0)), _entry(last))
            await self._client.xgroup_destroy(stream, other["name"])

    def count_in(self, partition: int, ids: list[bytes]) -> int:
        """How many of these ids, which are in the stream's order, are suspected: the first ones."""
        last = self._last.get(partition, (0, 0))
        return sum(_entry(one) <= last for one in ids)

    async def tried(self, partition: int, entry: bytes) -> int:
        """How often this message has been tried, with the time that is about to come."""
        return int(await self._client.hincrby(self._tries(partition), entry, 1))

    async def not_tried(self, partition: int, entry: bytes) -> None:
        """That was no try: something else was in the way, and the consumer lives."""
        await self._client.hincrby(self._tries(partition), entry, -1)

    async def done(self, partition: int, entry: bytes) -> None:
        """The message is out of the stream."""
        await self._client.hdel(self._tries(partition), entry)

    def _tries(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:tries"


def _entry(entry: bytes) -> Entry:
    milliseconds, number = entry.split(b"-")
    return int(milliseconds), int(number)
