"""Latency and throughput of 5,000 events per second through Redis Streams into Feast's online store.

One process publishes as the recommender does: one event every 200 µs, each as its own message; due events are handed
over every 5 ms and sent in one batch. `CONSUMERS` processes of `python -m sequences.streaming.consume` apply them. This
process polls the online store every 10 ms for one event in a hundred; latency counts from the tick. The first tick
comes when all processes are ready, so import time is not measured. One server is both broker and online store. Some of
the `USERS` users have full sequences (`synthetic_users`) and live events from before the last materialization, which
the consumers compare with the batch part at the next event; the others are new.

Results: `event_broker` is the 99th percentile in ms, which must stay under 1,000, and `event_broker_p50` the median.
`event_broker_rate` is events per second from the first tick until the last event was applied; `event_broker_drained` is
the same with all events published before the consumers start. `event_broker_cores` is processor time of the consumers
divided by elapsed time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis

from benchmarks.data import synthetic_users
from benchmarks.result import Result, result_with_limit
from config import garbage_collector, settings
from local.ports import free_port
from sequences.feast_store import open_store
from sequences.online.codec import decode_values
from sequences.online.materialization_state import STORE_MARKER_FEATURE, read_store_marker
from sequences.online.reader_writer import OnlineWriter
from sequences.online.store_rows import STORE_MARKER_USER, OnlineRowReader, to_list_value, write_rows
from sequences.streaming.message import TOPIC
from sequences.streaming.publisher import Publisher
from sequences.views import LIVE_SOURCE
from serving.events.user_writers import UserWriters
from tests.support import recommender_service, valkey

EVENTS_PER_SECOND = 5_000
USERS = 20_000
USERS_WITH_HISTORY = 500
CONSUMERS = 2
PROBE_INTERVAL = 100
POLL_INTERVAL_S = 0.01
SEND_INTERVAL_S = 0.005
START_DELAY_S = 0.1
WARM_UP_SHARE = 0.1
LIMIT_MS = 1_000.0
TIMEOUT_S = 300.0


def run(events: int) -> list[Result]:
    """Return the results for `events` events at the target rate, and for a backlog of as many."""
    with valkey.running() as server, tempfile.TemporaryDirectory() as home:
        address = f"redis://{server.host}:{server.port}/2"
        with recommender_service.prepared(
            Path(home), "redis", server.port, _write_users, SEGUE_BROKER=address
        ) as place:
            client = redis.Redis.from_url(address)
            _push_earlier_live_events()
            with _run_consumers(place, CONSUMERS) as consumers:
                _wait_until_drained(client)
                rows = OnlineRowReader(open_store(), {LIVE_SOURCE: ["event_id"]})
                context = multiprocessing.get_context("spawn")
                here, there = context.Pipe()
                publisher = context.Process(target=_publish_on_signal, args=(address, there, events))
                publisher.start()
                garbage_collector.freeze_gc()
                here.recv()
                began, cpu = time.perf_counter() + START_DELAY_S, _cpu_s(consumers)
                here.send(began)
                seconds = _measure_latencies(rows, began, events)
                _wait_until_drained(client)
                took, used = time.perf_counter() - began, _cpu_s(consumers) - cpu
                publisher.join()
            _publish(address, time.perf_counter() - events / EVENTS_PER_SECOND, events, events)
            with _run_consumers(place, CONSUMERS):
                waiting, start = _count_pending_messages(client), time.perf_counter()
                _wait_until_drained(client)
                drained = waiting / (time.perf_counter() - start)
    p99 = float(np.quantile(seconds[round(len(seconds) * WARM_UP_SHARE) :], 0.99)) * 1000
    return [
        result_with_limit("event_broker", "ms", p99, LIMIT_MS),
        Result.from_values("event_broker_p50", "ms", float(np.median(seconds)) * 1000),
        Result.from_values("event_broker_rate", "events/s", events / took, "required", EVENTS_PER_SECOND),
        Result.from_values("event_broker_drained", "events/s", drained, "required", EVENTS_PER_SECOND),
        Result.from_values("event_broker_cores", "cores", used / took),
    ]


def _write_users(home: Path) -> date:
    synthetic_users.write_events(home / "marts", USERS_WITH_HISTORY)
    return synthetic_users.AS_OF


def _push_earlier_live_events() -> None:
    """Write one live event of each user with a history, then record a later materialization."""
    store = open_store()
    writer = OnlineWriter(store, lambda _: 200_000)
    for number in range(USERS_WITH_HISTORY):
        _, event = _make_event(number)
        user = f"u{number:06d}"
        writer.apply(user, [event | {"event_id": f"before{number}", "user_id": user}])
    values = {
        STORE_MARKER_FEATURE: to_list_value(
            "string", decode_values(read_store_marker(store).values[STORE_MARKER_FEATURE])
        )
    }
    write_rows(store, store.get_feature_view(LIVE_SOURCE), [(STORE_MARKER_USER, values, datetime.now(UTC))])


@contextlib.contextmanager
def _run_consumers(place: recommender_service.Place, count: int) -> Iterator[list[psutil.Process]]:
    """Run consumers; yield when together they own all partitions."""
    programs = []
    for _ in range(count):
        variables = place.variables | {"SEGUE_CONSUMER_PORT": str(free_port())}
        command = [sys.executable, "-m", "sequences.streaming.consume"]
        log = (place.home / "consumer.log").open("ab")
        programs.append(subprocess.Popen(command, cwd=settings.ROOT, env=variables, stdout=log, stderr=log))
    client = redis.Redis.from_url(place.variables["SEGUE_BROKER"])
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while len(set(client.mget([f"{TOPIC.stream(one)}:owner" for one in range(TOPIC.partitions)])) - {None}) < count:
            assert time.monotonic() < deadline, (place.home / "consumer.log").read_text()[-2000:]
            time.sleep(0.05)
        yield [psutil.Process(program.pid) for program in programs]
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait()


def _make_event(number: int) -> tuple[str, dict[str, Any]]:
    # Drawn in one call: a random number generator per event would cost more than sending it.
    chance, now_us = zlib.crc32(f"event {number}".encode()), time.time_ns() // 1000
    user, track = f"u{chance % USERS:06d}", f"{chance // USERS % synthetic_users.TRACKS}"
    columns = {"user_id": user, "target_type": "track", "target_id": track, "occurred_at": now_us, "ended_at": now_us}
    played = {"action": "play", "played_ms": 30_000} if number % 4 else {"action": "click"}
    return user, {"event_id": f"bench{number}", "sequence_number": number, **columns, **played}


def _publish_on_signal(address: str, signal: Connection, events: int) -> None:
    garbage_collector.freeze_gc()  # same options as the recommender
    signal.send("ready")
    _publish(address, signal.recv(), events)


def _publish(address: str, began: float, events: int, offset: int = 0) -> None:
    publisher = Publisher(address, lambda _: 200_000)
    writers = UserWriters(publisher.publish)
    answers: deque[Future[None]] = deque()
    for number in range(events):
        # Due events are sent together: sleeping for each would make this thread wait for the GIL each time.
        if began + number / EVENTS_PER_SECOND > time.perf_counter():
            time.sleep(SEND_INTERVAL_S)
        user, event = _make_event(offset + number)
        answers.append(writers.submit(user, [event]))
        while answers and answers[0].done():
            answers.popleft().result()
    for answer in answers:
        answer.result()
    writers.close()
    publisher.close()


def _measure_latencies(rows: OnlineRowReader, began: float, events: int) -> list[float]:
    """Return the seconds from the tick of each watched event until it was in its user's row."""
    ticks = [(number, began + number / EVENTS_PER_SECOND) for number in range(0, events, PROBE_INTERVAL)]
    waiting: dict[int, tuple[str, float]] = {}
    found: dict[int, float] = {}
    deadline = began + events / EVENTS_PER_SECOND + TIMEOUT_S
    while len(found) < events // PROBE_INTERVAL:
        now = time.perf_counter()
        assert now < deadline, f"{len(waiting)} events did not arrive in time"
        while ticks and ticks[0][1] <= now:
            number, tick = ticks.pop(0)
            waiting[number] = (_make_event(number)[0], tick)
        numbers = list(waiting)
        read = rows.read([waiting[number][0] for number in numbers]) if numbers else []
        now = time.perf_counter()
        for number, row in zip(numbers, read, strict=True):
            if f"bench{number}" in decode_values(row[LIVE_SOURCE].values["event_id"]):
                found[number] = now - waiting.pop(number)[1]
        time.sleep(POLL_INTERVAL_S)
    return [found[number] for number in sorted(found)]


def _count_pending_messages(client: Any) -> int:
    return sum(client.xlen(TOPIC.stream(partition)) for partition in range(TOPIC.partitions))


def _wait_until_drained(client: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while _count_pending_messages(client):
        assert time.monotonic() < deadline, f"{_count_pending_messages(client)} messages are still pending"
        time.sleep(0.01)
    assert not client.xlen(TOPIC.dead_letter_name)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
