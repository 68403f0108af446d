"""Erasure of users from the broker: unapplied messages and dead letters in Redis.

Kafka topics are not rewritten: their messages remain until the topic's retention ends, but consumers do not apply them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from config import settings
from privacy import ErasureError
from sequences.streaming.leases import LEASE_MS, consumers_key, suppression_digests_key
from sequences.streaming.message import TOPIC, Topic
from storage import suppression_list

WAIT_S = 60.0
SCAN_PAGE_SIZE = 1000


class BrokerUnavailable(ErasureError):
    """The broker does not respond."""


class SuppressionListNotApplied(ErasureError):
    """A consumer does not apply the current suppression list; the message names it and the remedy."""


def erase_users(
    user_ids: Collection[str], here: settings.Settings, topic: Topic = TOPIC, wait_s: float = WAIT_S
) -> Counter[str]:
    """Erase the users' messages after all consumers apply the suppression list; returns the messages per user.

    Raises:
        SuppressionListNotApplied: A consumer does not apply the list within `wait_s` seconds.
        BrokerUnavailable: Redis does not respond.
    """
    if not here.broker.startswith("redis://"):
        return Counter()
    from redis import Redis
    from redis.exceptions import RedisError

    client: Any = Redis.from_url(here.broker, socket_timeout=5)
    digest = suppression_list.content_digest(suppression_list.read_content(here.suppression_list))
    try:
        _wait_for_consumers(client, topic, digest, time.monotonic() + wait_s)
        return _erase_messages(client, topic, user_ids)
    except RedisError as error:
        raise BrokerUnavailable(f"the broker does not respond ({error}); start it and run this again") from error


def _erase_messages(client: Any, topic: Topic, user_ids: Collection[str]) -> Counter[str]:
    erased: Counter[str] = Counter()
    for stream in (*map(topic.stream, range(topic.partitions)), topic.dead_letter_name):
        for entry, content in _stream_entries(client, stream):
            # User ids are JSON strings in messages and dead letters; a dead letter may contain a whole message.
            for user in user_ids:
                if _mentions_user(user, content):
                    erased[user] += client.xdel(stream, entry)
                    break
    return erased


def _mentions_user(user_id: str, content: bytes) -> bool:
    escaped = json.dumps(user_id)
    return any(text.encode("utf-8", "surrogatepass") in content for text in (escaped, json.dumps(escaped)[1:-1]))


def _stream_entries(client: Any, stream: str) -> Iterator[tuple[bytes, bytes]]:
    start = "-"
    while page := client.xrange(stream, start, count=SCAN_PAGE_SIZE):
        for entry, fields in page:
            yield entry, b"".join(fields.values())
        start = "(" + page[-1][0].decode()


def _wait_for_consumers(client: Any, topic: Topic, digest: str, deadline: float) -> None:
    while True:
        seconds, microseconds = client.time()
        alive = client.zrangebyscore(consumers_key(topic), seconds * 1000 + microseconds // 1000 - LEASE_MS, "+inf")
        late = [name for name in alive if (client.hget(suppression_digests_key(topic), name) or b"").decode() != digest]
        if not late:
            return
        if time.monotonic() > deadline:
            raise SuppressionListNotApplied(
                f"the consumer {late[0].decode()} does not apply the suppression list; stop it, or start the online store "
                "that it waits for, and run this again"
            )
        time.sleep(0.2)
