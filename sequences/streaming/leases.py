"""Partition leases in Redis: assignment of streams to consumers, evenly distributed and expiring.

FastStream reads streams but does not assign them to consumers. Independent of messages.
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
    """Redis key of the sorted set of consumers, scored by their last heartbeat in ms."""
    return f"{topic.name}:consumers"


def suppression_digests_key(topic: Topic) -> str:
    """Redis key of the hash consumer ▸ digest of the suppression list that it applies."""
    return f"{topic.name}:forgotten"


class PartitionLeases:
    """Leases of one consumer.

    Args:
        client: redis-py asyncio client.
        topic: The topic.
        consumer_name: Unique name of the consumer.
        lease_ms: Duration of a lease.
    """

    def __init__(self, client: Any, topic: Topic, consumer_name: str, lease_ms: int = LEASE_MS) -> None:
        self._client, self._topic, self._consumer_name, self._lease_ms = client, topic, consumer_name, lease_ms
        self._consumers_key, self._digests_key = consumers_key(topic), suppression_digests_key(topic)
        self._expires_at: dict[int, float] = {}

    async def fair_share(self) -> int:
        """Send a heartbeat; returns the maximum number of partitions per live consumer for an even distribution."""
        now = await self._now_ms()
        async with self._client.pipeline() as commands:
            commands.zadd(self._consumers_key, {self._consumer_name: now})
            commands.zrangebyscore(self._consumers_key, 0, now - self._lease_ms)
            commands.zremrangebyscore(self._consumers_key, 0, now - self._lease_ms)
            commands.zcard(self._consumers_key)
            _, crashed, _, alive = await commands.execute()
        if crashed:
            await self._client.hdel(self._digests_key, *crashed)
        return -(-self._topic.partitions // max(int(alive), 1))

    async def acquire(self, partition: int) -> bool:
        """Try to acquire the lease of a free partition; returns whether it succeeded."""
        requested_at = time.monotonic()
        return self._record_lease(
            partition,
            requested_at,
            await self._client.set(self._lease_key(partition), self._consumer_name, nx=True, px=self._lease_ms),
        )

    async def renew(self, partition: int) -> bool:
        """Renew the lease if this consumer still holds it; returns whether it does."""
        requested_at = time.monotonic()
        return self._record_lease(
            partition,
            requested_at,
            await self._client.eval(_RENEW, 1, self._lease_key(partition), self._consumer_name, self._lease_ms),
        )

    def holds(self, partition: int) -> bool:
        """Whether the lease is valid by the local monotonic clock, which also advances while the process is suspended."""
        return time.monotonic() < self._expires_at.get(partition, 0.0)

    async def release(self, partition: int) -> None:
        """Release the lease if this consumer holds it."""
        self._expires_at.pop(partition, None)
        await self._client.eval(_RELEASE, 1, self._lease_key(partition), self._consumer_name)

    async def record_suppression_digest(self, digest: str) -> None:
        """Publish the digest of the suppression list that this consumer applies."""
        await self._client.hset(self._digests_key, self._consumer_name, digest)

    async def leave(self) -> None:
        """Unregister this consumer, so that its share goes to the others."""
        await self._client.zrem(self._consumers_key, self._consumer_name)
        await self._client.hdel(self._digests_key, self._consumer_name)

    def _record_lease(self, partition: int, requested_at: float, is_held: object) -> bool:
        self._expires_at[partition] = requested_at + self._lease_ms / 1000 if is_held else 0.0
        return bool(is_held)

    async def _now_ms(self) -> int:
        # The server's clock is common to consumers on several machines.
        seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _lease_key(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:owner"
