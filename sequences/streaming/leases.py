"""Which consumer has which partition of Redis: leases that end by themselves, as many for each as for any other.

FastStream reads streams and knows no owners of them. Knows nothing about messages.
"""

from __future__ import annotations

import time
from typing import Any

from sequences.streaming.message import Topic

LEASE_MS = 5_000

_IF_OWNER = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
_RENEW = _IF_OWNER + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
_RELEASE = _IF_OWNER + "return redis.call('DEL', KEYS[1])"


def consumers_key(topic: Topic) -> str:
    """Redis's sorted set of consumers by when they were last heard of, ms."""
    return f"{topic.name}:consumers"


def suppression_digests_key(topic: Topic) -> str:
    """Redis's hash of consumer ▸ digest of the list of forgotten users that it has taken up."""
    return f"{topic.name}:forgotten"


class PartitionLeases:
    """One consumer's leases. `me` is its name, like nobody else's; `client` is redis-py's, asyncio."""

    def __init__(self, client: Any, topic: Topic, consumer_name: str, lease_ms: int = LEASE_MS) -> None:
        self._client, self._topic, self._consumer_name, self._lease_ms = client, topic, consumer_name, lease_ms
        self._consumers_key, self._digests_key = consumers_key(topic), suppression_digests_key(topic)
        self._expires_at: dict[int, float] = {}

    async def fair_share(self) -> int:
        """Say that this consumer lives; how many partitions it may have, for all that live to have as many."""
        now = await self._now_ms()
        async with self._client.pipeline() as commands:
            commands.zadd(self._consumers_key, {self._consumer_name: now})
            commands.zremrangebyscore(self._consumers_key, 0, now - self._lease_ms)
            commands.zcard(self._consumers_key)
            *_, alive = await commands.execute()
        return -(-self._topic.partitions // max(int(alive), 1))

    async def acquire(self, partition: int) -> bool:
        """Whether the partition was nobody's and is ours now, until the lease ends."""
        asked = time.monotonic()
        return self._record_lease(
            partition,
            asked,
            await self._client.set(self._lease_key(partition), self._consumer_name, nx=True, px=self._lease_ms),
        )

    async def renew(self, partition: int) -> bool:
        """Whether it is still ours; then it is so for another lease."""
        asked = time.monotonic()
        return self._record_lease(
            partition,
            asked,
            await self._client.eval(_RENEW, 1, self._lease_key(partition), self._consumer_name, self._lease_ms),
        )

    def holds(self, partition: int) -> bool:
        """Whether the lease still runs, by this process's clock, which goes on while the process is held up."""
        return time.monotonic() < self._expires_at.get(partition, 0.0)

    async def release(self, partition: int) -> None:
        """Give it back, if it is ours."""
        self._expires_at.pop(partition, None)
        await self._client.eval(_RELEASE, 1, self._lease_key(partition), self._consumer_name)

    async def record_suppression_digest(self, digest: str) -> None:
        """Say which list of forgotten users this consumer has taken up."""
        await self._client.hset(self._digests_key, self._consumer_name, digest)

    async def leave(self) -> None:
        """This consumer lives no longer: the others may have more."""
        await self._client.zrem(self._consumers_key, self._consumer_name)
        await self._client.hdel(self._digests_key, self._consumer_name)

    def _record_lease(self, partition: int, asked: float, is_ours: object) -> bool:
        self._expires_at[partition] = asked + self._lease_ms / 1000 if is_ours else 0.0
        return bool(is_ours)

    async def _now_ms(self) -> int:
        # The server's clock: consumers on several machines agree on it.
        seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _lease_key(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:owner"
