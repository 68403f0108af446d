"""The stores of several machines: a Redis server of its own that writes every event to its disk before it is acknowledged, and has
what the workers of the recommender share.

One script adds a report as a transaction. What it cannot compute, the private sessions, is computed before it from what this process
assumes; the script compares the assumptions with the data, and if some are wrong it writes nothing and returns what is right.
A failover to a replica may lose acknowledged events, because Redis replicates them afterwards. The clocks of the machines must agree
within a second, as by NTP.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from operator import itemgetter
from typing import Any

from event_store.event_rules import MAX_AGE_US, Event
from event_store.private_sessions import (
    END,
    MAX_SESSION_US,
    START,
    PrivateSession,
    current_session,
    is_hidden,
    sessions_after,
)
from event_store.redis_database import RedisDatabase, user_key
from event_store.redis_scripts import script
from event_store.store import (
    ALIVE_FOR_US,
    DAY_US,
    ID_PERIOD_US,
    MAX_EVENTS_OF_KIND,
    VISIBLE_FOR_US,
    Appended,
    Position,
    StoreBusy,
    UserEvents,
    Worker,
    id_code,
    kind_of,
    to_text,
)

EVENT_KINDS = EVENTS, IMPRESSIONS, SESSIONS = "events", "impressions", "private_sessions"
"""Kinds of keys of users: lists of events that a view may show and of others, and the times of sessions."""
MAX_TRIES = 20
KEPT_FOR_MS = (MAX_SESSION_US + MAX_AGE_US) // 1000
NEW, KNOWN, PRIVATE, PLAIN = "new", "known", "private", "plain"
"""What is assumed of an event: it begins or ends a session and has a new or a known id, a session hides it, or none of these."""
APPEND = script(
    "",
    """
    local id, salt, now, period, users = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
    if id ~= fact('id') or salt ~= fact('salt') then return {'facts'} end
    local function is_known(code)
      return redis.call('sismember', 'segue:ids:' .. period, code) == 1
        or redis.call('sismember', 'segue:ids:' .. period - 1, code) == 1
    end
    local erased, sessions, known, is_wrong = {}, {}, {}, false
    for at = 6, 5 + 4 * users, 4 do
      local place = #sessions + 1
      erased[place] = refusal(salt, ARGV[at + 1]) == 'erased'
      sessions[place] = redis.call('get', ARGV[at]) or ''
      is_wrong = is_wrong or not erased[place] and sessions[place] ~= ARGV[at + 2]
    end
    for at = 6 + 4 * users, #ARGV, 5 do
      local assumed = ARGV[at + 2]
      if assumed == 'new' or assumed == 'known' then
        local is_old = is_known(ARGV[at + 1])
        is_wrong = is_wrong or is_old ~= (assumed == 'known')
        if is_old then known[#known + 1] = ARGV[at + 1] end
      end
    end
    if is_wrong then return {'wrong', sessions, known} end

    local numbered, last, count = math.max(number('number', 0), now), nil, {accepted = 0, duplicate = 0, private = 0, erased = 0}
    for at = 6 + 4 * users, #ARGV, 5 do
      local place, code, assumed, list, text = unpack(ARGV, at, at + 4)
      local outcome = 'accepted'
      if erased[tonumber(place)] then outcome = 'erased'
      elseif is_known(code) then outcome = 'duplicate'
      else
        redis.call('sadd', 'segue:ids:' .. period, code)
        if assumed == 'private' then outcome = 'private'
        else
          numbered = numbered + 1
          if not text:find('"sequence_number":', 1, true) then
            text = string.format('{"sequence_number":%.0f,', numbered) .. text:sub(2)
          end
          last = add('events', list, text)
        end
      end
      count[outcome] = count[outcome] + 1
    end
    for at = 6, 5 + 4 * users, 4 do
      local key, after = ARGV[at], ARGV[at + 3]
      if after ~= ARGV[at + 2] and not erased[(at - 2) / 4] then
        if after == '' then redis.call('del', key) else redis.call('set', key, after, 'px', KEPT_FOR_MS) end
      end
    end
    local time = string.format('%.0f', math.max(number('time', 0), now))
    if last then
      redis.call('zremrangebyscore', 'segue:events:times', time, time)
      redis.call('zadd', 'segue:events:times', time, last)
    end
    for old = number('period', period), period - 2 do redis.call('unlink', 'segue:ids:' .. old) end
    redis.call('hset', FACTS, 'number', string.format('%.0f', numbered), 'time', time,
      'period', math.max(number('period', 0), period - 1))
    return {'added', count.accepted, count.duplicate, count.private, count.erased}
    """.replace("KEPT_FOR_MS", str(KEPT_FOR_MS)),
)
LAST_BEFORE = script(
    "no-writes",
    """
    return last_before('events', ARGV[1])
    """,
)


class RedisEventStore(RedisDatabase):
    """See `event_store.store.EventStore`.

    Args:
        url: See `RedisDatabase`.
        now_us: Clock, µs UTC.
    """

    def __init__(self, url: str, now_us: Callable[[], int]) -> None:
        super().__init__(url, EVENTS, EVENT_KINDS)
        self._now_us = now_us

    def append(self, events: Sequence[Event]) -> Appended:
        """See `EventStore.append`."""
        users = list(dict.fromkeys(event["user_id"] for event in events))
        found, known = [b""] * len(users), set[bytes]()
        for _ in range(MAX_TRIES):
            what, *answer = self.call(APPEND, *self._arguments(events, users, found, known))
            if what == b"added":
                return Appended(*answer)
            if what == b"facts":
                self.read_facts()
            else:
                found, known = answer[0], set(answer[1])
        raise StoreBusy(
            "other reports change the private sessions of the same users; send the events again in a second"
        )

    def _arguments(
        self, events: Sequence[Event], users: Sequence[str], found: Sequence[bytes], known: set[bytes]
    ) -> list[Any]:
        """Arguments of APPEND, assuming the users' sessions and which ids of events that begin or end one are known."""
        facts, now_us = self.facts, self._now_us()
        after = {user: _sessions(text) for user, text in zip(users, found, strict=True)}
        place = {user: number for number, user in enumerate(users, 1)}
        rows, codes = list[Any](), set[bytes]()
        for event in events:
            user_id, code = event["user_id"], id_code(facts.key, event)
            assumed = PRIVATE if is_hidden(event, after[user_id]) else PLAIN
            if event["action"] in (START, END) and code not in codes:
                assumed = KNOWN if code in known else NEW
                if assumed == NEW:
                    after[user_id] = sessions_after(event, after[user_id], now_us)
            codes.add(code)
            key = user_key(EVENTS if kind_of(event) else IMPRESSIONS, user_id)
            rows += [place[user_id], code, assumed, key, to_text(event)]
        parts = (
            (user_key(SESSIONS, user), facts.code(user), text, _text(after[user]))
            for user, text in zip(users, found, strict=True)
        )
        before = [value for part in parts for value in part]
        return [facts.id, facts.salt, now_us, now_us // ID_PERIOD_US, len(users), *before, *rows]

    def of_user(self, user_id: str, after: Position | None = None) -> UserEvents:
        """See `EventStore.of_user`."""
        store, rows = self.read_list(user_key(EVENTS, user_id), after)
        kinds, newest = Counter[str](), list[Event]()
        for _, event in sorted(rows, key=lambda row: (row[1]["ended_at"], row[1]["sequence_number"]), reverse=True):
            kinds[kind_of(event)] += 1
            if kinds[kind_of(event)] <= MAX_EVENTS_OF_KIND:
                newest.append(event)
        return UserEvents(store, max((seq for seq, _ in rows), default=0), newest[::-1])

    def last_before(self, received_us: int) -> int:
        """See `EventStore.last_before`."""
        return int(self.call(LAST_BEFORE, received_us))

    def remove(self, through: Position) -> int:
        """See `EventStore.remove`."""
        return self.remove_rows(through, self._now_us() - VISIBLE_FOR_US)

    def private_session(self, user_id: str) -> PrivateSession | None:
        """See `EventStore.private_session`."""
        return current_session(self._sessions_of(user_id), self._now_us())

    def export(self, user_id: str) -> dict[str, list[dict[str, Any]]]:
        """See `Store.export`."""
        lists = (self.read_list(user_key(kind, user_id)) for kind in (EVENTS, IMPRESSIONS))
        events = [{"seq": seq, "body": event} for _, rows in lists for seq, event in rows]
        return {
            "events": sorted(events, key=itemgetter("seq")),
            "private_sessions": list(map(asdict, self._sessions_of(user_id))),
        }

    def _sessions_of(self, user_id: str) -> list[PrivateSession]:
        return _sessions(self.run("get", user_key(SESSIONS, user_id)))


def _sessions(text: bytes | None) -> list[PrivateSession]:
    return [PrivateSession(*row) for row in json.loads(text)] if text else []


def _text(sessions: Sequence[PrivateSession]) -> str:
    return json.dumps([astuple(one) for one in sessions]) if sessions else ""


STATE_KINDS = EXPOSURES, LISTS = "exposures", "daily_lists"
WORKERS = "segue:workers"
AGREED_FOR_S = 2 * DAY_US // 1_000_000
ADD = script("", "return refusal(ARGV[1], ARGV[2]) or add(ARGV[3], ARGV[4], ARGV[5])")
REPLACE = script(
    "",
    """
    local key, field, before, text, oldest, kept_for_s = unpack(ARGV, 3, 8)
    local refused, found = refusal(ARGV[1], ARGV[2]), redis.call('hget', key, field)
    if refused then return refused end
    if (found and '=' .. found or '') ~= before then return 'changed' end
    redis.call('hset', key, field, text)
    for _, other in ipairs(redis.call('hkeys', key)) do
      if tonumber(other:match('^%d+')) < tonumber(oldest) then redis.call('hdel', key, other) end
    end
    redis.call('expire', key, kept_for_s)
    return 'replaced'
    """,
)


class RedisServingState(RedisDatabase):
    """See `event_store.store.ServingState`.

    Args:
        url: See `RedisDatabase`.
        now_us: Clock, µs UTC.
    """

    def __init__(self, url: str, now_us: Callable[[], int]) -> None:
        super().__init__(url, EXPOSURES, STATE_KINDS)
        self._now_us = now_us

    def add_exposure(self, user_id: str, record: Mapping[str, Any]) -> None:
        """See `ServingState.add_exposure`."""
        text = json.dumps(record, separators=(",", ":"))
        self.call_for(user_id, ADD, EXPOSURES, user_key(EXPOSURES, user_id), text)

    def remove_exposures(self, through: Position) -> None:
        """See `ServingState.remove_exposures`."""
        self.remove_rows(through)

    def replace_list(self, user_id: str, day: int, key: str, before: str | None, text: str, kept_days: int) -> bool:
        """See `ServingState.replace_list`."""
        found = "" if before is None else f"={before}"
        arguments = (user_key(LISTS, user_id), f"{day} {key}", found, text, day - kept_days, (kept_days + 1) * 86_400)
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
