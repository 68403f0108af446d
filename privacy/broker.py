"""Erasure of users from the broker: unapplied messages and dead letters in Redis."""

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
from storage.user_data import USER_COLUMN

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
            for user in user_ids:
                if _belongs_to(user, content):
                    erased[user] += client.xdel(stream, entry)
                    break
    return erased


def _belongs_to(user_id: str, content: str) -> bool:
    """Whether a message, a dead letter or the content of a dead letter is of the user.

    Only content that names no user in a known format belongs to every user whose id it contains as a JSON string.
    """
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or USER_COLUMN not in row:
        escaped = json.dumps(user_id)
        return any(text in content for text in (escaped, json.dumps(escaped)[1:-1]))
    if row[USER_COLUMN] == "" and isinstance(row.get("content"), str):  # a dead letter that could not be decoded
        return _belongs_to(user_id, row["content"])
    events = row["events"] if isinstance(row.get("events"), list) else []
    owners = [each[USER_COLUMN] for each in (row, *events) if isinstance(each, dict) and USER_COLUMN in each]
    return user_id in map(str, owners)


def _stream_entries(client: Any, stream: str) -> Iterator[tuple[bytes, str]]:
    from sequences.streaming.redis_streams import decode_content

    start = "-"
    while page := client.xrange(stream, start, count=SCAN_PAGE_SIZE):
        for entry, fields in page:
            yield entry, decode_content(fields).decode("utf-8", "replace")
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
