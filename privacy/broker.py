"""Users leave the broker: what waits of theirs, and dead letters.

Only Redis; what Kafka keeps it keeps until the topic's retention ends, and no consumer applies it. Knows nothing about the
online store.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from config import settings
from sequences.streaming.leases import LEASE_MS, consumers_key, suppression_digests_key
from sequences.streaming.message import TOPIC, Topic
from storage import suppression_list

WAIT_S = 60.0
SCAN_PAGE_SIZE = 1000


class SuppressionListNotApplied(RuntimeError):
    """A consumer does not know yet who was forgotten; the message names it and the remedy."""


def erase_users(
    user_ids: Collection[str], here: settings.Settings, topic: Topic = TOPIC, wait_s: float = WAIT_S
) -> Counter[str]:
    """Erase the users' messages, when every consumer has taken up the list of forgotten users; messages of each user.

    Raises:
        NotTakenUp: one has not, within `wait_s`.
        RedisError: the broker does not answer.
    """
    if not here.broker.startswith("redis://"):
        return Counter()
    from redis import Redis

    client: Any = Redis.from_url(here.broker, socket_timeout=5)
    _wait_for_consumers(
        client,
        topic,
        suppression_list.content_digest(suppression_list.read_content(here.suppression_list)),
        time.monotonic() + wait_s,
    )
    erased: Counter[str] = Counter()
    for stream in (*map(topic.stream, range(topic.partitions)), topic.dead_letter_name):
        for entry, content in _stream_entries(client, stream):
            # Ids are JSON texts in messages and in letters, a message in a letter among them.
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
    while found := client.xrange(stream, start, count=SCAN_PAGE_SIZE):
        for entry, fields in found:
            yield entry, b"".join(fields.values())
        start = "(" + found[-1][0].decode()


def _wait_for_consumers(client: Any, topic: Topic, digest: str, deadline: float) -> None:
    while True:
        seconds, microseconds = client.time()
        alive = client.zrangebyscore(consumers_key(topic), seconds * 1000 + microseconds // 1000 - LEASE_MS, "+inf")
        late = [name for name in alive if (client.hget(suppression_digests_key(topic), name) or b"").decode() != digest]
        if not late:
            return
        if time.monotonic() > deadline:
            raise SuppressionListNotApplied(
                f"the consumer {late[0].decode()} has not taken up the list of forgotten users; end it, or start the online "
                "store that it waits for, and run this again"
            )
        time.sleep(0.2)
