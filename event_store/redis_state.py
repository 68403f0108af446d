"""What the workers of several machines share besides events: exposures, daily lists and live workers in the same Redis server.

The clocks of the machines must agree within a second, as by NTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from event_store.redis_database import RedisDatabase, script, user_key
from event_store.store import ALIVE_FOR_US, DAY_US, LISTED_DAYS, Position, Worker

KINDS = EXPOSURES, LISTS = "exposures", "daily_lists"
WORKERS = "segue:workers"
AGREED_FOR_S = 2 * DAY_US // 1_000_000
ADD = script("", "return refusal(ARGV[1], ARGV[2]) or add(ARGV[3], ARGV[4], ARGV[5])")
REPLACE = script(
    "",
    """
    local key, field, before, text, oldest = unpack(ARGV, 3, 7)
    local refused, found = refusal(ARGV[1], ARGV[2]), redis.call('hget', key, field)
    if refused then return refused end
    if (found and '=' .. found or '') ~= before then return 'changed' end
    redis.call('hset', key, field, text)
    for _, other in ipairs(redis.call('hkeys', key)) do
      if tonumber(other:match('^%d+')) < tonumber(oldest) then redis.call('hdel', key, other) end
    end
    redis.call('expire', key, LISTED_FOR_S)
    return 'replaced'
    """.replace("LISTED_FOR_S", str((LISTED_DAYS + 1) * 86_400)),
)


class RedisServingState(RedisDatabase):
    """See `event_store.store.ServingState`.

    Args:
        url: See `RedisDatabase`.
        now_us: Clock, µs UTC.
    """

    def __init__(self, url: str, now_us: Callable[[], int]) -> None:
        super().__init__(url, EXPOSURES, KINDS)
        self._now_us = now_us

    def add_exposure(self, user_id: str, record: Mapping[str, Any]) -> None:
        """See `ServingState.add_exposure`."""
        text = json.dumps(record, separators=(",", ":"))
        self.call_for(user_id, ADD, EXPOSURES, user_key(EXPOSURES, user_id), text)

    def read_exposures(self, after: Position | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """See `ServingState.read_exposures`."""
        return self.read_rows(after, limit)

    def remove_exposures(self, through: Position) -> None:
        """See `ServingState.remove_exposures`."""
        self.remove_rows(through)

    def replace_list(self, user_id: str, day: int, key: str, before: str | None, text: str) -> bool:
        """See `ServingState.replace_list`."""
        found = "" if before is None else f"={before}"
        arguments = (user_key(LISTS, user_id), f"{day} {key}", found, text, day - LISTED_DAYS)
        return bool(self.call_for(user_id, REPLACE, *arguments) != b"changed")

    def read_lists(self, user_id: str, since_day: int) -> list[tuple[int, str, str]]:
        """See `ServingState.read_lists`."""
        found = self.run("hgetall", user_key(LISTS, user_id))
        lists = ((*field.decode().split(" ", 1), text.decode()) for field, text in found.items())
        return [(int(day), key, text) for day, key, text in lists if int(day) >= since_day]

    def report_worker(self, name: str, state: Mapping[str, Any]) -> None:
        """See `ServingState.report_worker`."""
        now_us = self._now_us()
        self.run("hset", WORKERS, name, json.dumps([now_us, state]))
        if dead := [one.name for one in self._workers() if one.seen_us < now_us - ALIVE_FOR_US]:
            self.run("hdel", WORKERS, *dead)

    def workers(self) -> list[Worker]:
        """See `ServingState.workers`."""
        return [one for one in self._workers() if one.seen_us >= self._now_us() - ALIVE_FOR_US]

    def _workers(self) -> list[Worker]:
        found = self.run("hgetall", WORKERS)
        return [Worker(name.decode(), *json.loads(text)) for name, text in sorted(found.items())]

    def agree(self, name: str, value: str) -> str:
        """See `ServingState.agree`."""
        with self.available() as client:
            agreed = client.set(f"segue:agreed:{name}", value, ex=AGREED_FOR_S, nx=True, get=True)
        return agreed.decode() if agreed else value

    def export(self, user_id: str) -> dict[str, list[dict[str, Any]]]:
        """See `Store.export`."""
        _, exposures = self.read_list(user_key(EXPOSURES, user_id))
        lists = sorted(self.read_lists(user_id, 0))
        return {
            "exposures": [{"seq": seq, "body": record} for seq, record in exposures],
            "daily_lists": [{"day": day, "key": key, "body": json.loads(text)} for day, key, text in lists],
        }
