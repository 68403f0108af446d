"""Events of a few users, the state that they result in without a broker, and consumers in separate processes."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import feast
from prometheus_client import CollectorRegistry

from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.message import Topic
from sequences.streaming.metrics import ConsumerMetrics
from sequences.views import SEQUENCE_VIEWS
from tests.support.sequences.online_stores import opened

TOPIC = Topic("tests", partitions=4)
LEASE_MS = 500
PATIENCE_S = 120
NOW_US = 1_800_000_000_000_000
FORK = multiprocessing.get_context("fork")


def until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def duration_of(track_id: str) -> int | None:
    """Length of a track, unknown for every third track."""
    number = int(track_id[1:])
    return None if number % 3 == 0 else 100_000 + number


def event(number: int, user: str, **columns: Any) -> dict[str, Any]:
    """A contract row as in the event log."""
    generator = random.Random(number)
    action = generator.choice(["play", "play", "play", "click", "like", "dislike", "block", "impression"])
    ended = NOW_US + generator.randrange(60) * 1_000_000
    played_ms = generator.choice([1_000, 50_000, 99_000]) if action == "play" else None
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "sequence_number": number,
        "target_type": "track",
        "target_id": f"t{generator.randrange(50)}",
        "occurred_at": ended - (played_ms or 0) * 1000,
        "ended_at": ended,
        "action": action,
        "played_ms": played_ms,
        "scene": None,
    } | columns


def reports(count: int, users: int) -> list[dict[str, list[dict[str, Any]]]]:
    """Random reports (user ▸ events), some of them duplicated."""
    generator, batches, number = random.Random(1), [], 0
    for _ in range(count):
        events_of = {}
        for user in generator.sample(range(users), generator.randint(1, 3)):
            size = generator.randint(1, 3)
            events_of[f"u{user}"] = [event(number + one, f"u{user}") for one in range(size)]
            number += size
        batches.append(events_of)
        if generator.random() < 0.1:
            batches.append(generator.choice(batches))
    return batches


def same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether two reads of a user are equal, element by element (NaN equals NaN)."""
    return found.keys() == expected.keys() and all(
        found[view].keys() == expected[view].keys()
        and all(_equal(found[view][name], expected[view][name]) for name in expected[view])
        for view in expected
    )


def _equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(
        one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
        for one, other in zip(left, right, strict=True)
    )


class RecordingWriter:
    """A writer that records events in a file before it applies them, also if it is killed. An event named
    `deadly…` kills its process.
    """

    def __init__(self, writer: OnlineWriter, record_file: Path) -> None:
        self._writer = writer
        self._file = os.open(record_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def apply_batch(self, events_of: Mapping[str, list[Mapping[str, Any]]]) -> int:
        batches = ids_of(events_of)
        os.write(self._file, json.dumps(batches).encode() + b"\n")
        if any(one.startswith("deadly") for ids in batches.values() for one in ids):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._writer.apply_batch(events_of)


def consumer(url: str, store: feast.FeatureStore, folder: Path) -> BaseProcess:
    """A consumer in a separate process, until it is killed or terminated."""
    process = FORK.Process(target=_consume, args=(url, store, folder))
    process.start()
    return process


def _consume(url: str, store: feast.FeatureStore, folder: Path) -> None:
    from sequences.streaming.redis_streams import StreamConsumer

    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry)
    applier = EventApplier(
        lambda duration_of: RecordingWriter(OnlineWriter(store, duration_of), folder / "notes"),
        folder / "forgotten.json",
        metrics,
    )

    async def run() -> None:
        stop_event = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop_event.set)
        await StreamConsumer(url, applier, metrics, registry, TOPIC, LEASE_MS).run(stop_event)

    asyncio.run(run())
    os._exit(0)


def publish_with_failures(
    batches: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]],
    publish: Callable[[Mapping[str, Sequence[Mapping[str, Any]]]], None],
    start: Callable[[], BaseProcess],
    is_applied: Callable[[], bool],
) -> None:
    """Publish all reports while consumers are killed, suspended and added, and wait until they are applied."""
    generator, consumers = random.Random(2), [start() for _ in range(2)]
    suspended: BaseProcess | None = None
    try:
        for number, events_of in enumerate(batches):
            publish(events_of)
            time.sleep(0.01)
            if number % 50 == 25:
                if suspended is not None:
                    os.kill(suspended.pid, signal.SIGCONT)
                    consumers.append(suspended)
                suspended = consumers.pop(0)
                os.kill(suspended.pid, signal.SIGSTOP)
            if number % 50 == 49:
                killed = consumers.pop(generator.randrange(len(consumers)))
                killed.kill()
                killed.join()
                consumers += [start() for _ in range(3 - len(consumers))]
        if suspended is not None:
            os.kill(suspended.pid, signal.SIGCONT)
        until(is_applied)
    finally:
        for one in (*consumers, suspended):
            if one is not None:
                one.kill()
                one.join()


def assert_same_state_as_one_process(
    batches: Sequence[Mapping[str, list[Mapping[str, Any]]]], store: feast.FeatureStore, folder: Path
) -> None:
    """Check that the store equals that of one writer without a broker, and that events were applied in order per user."""
    (folder / "plain").mkdir()
    with opened("sqlite", folder / "plain", SEQUENCE_VIEWS) as plain:
        writer = OnlineWriter(plain, duration_of)
        for events_of in batches:
            writer.apply_batch(events_of)
        users = sorted({user for events_of in batches for user in events_of})
        left, right = OnlineReader(store), OnlineReader(plain)
        assert [user for user in users if not same(left.read(user).views, right.read(user).views)] == []
    assert applied_in_order(folder / "notes") == in_order(map(ids_of, batches))


def in_order(batches: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, list[str]]:
    """user ▸ event ids in the order of their first occurrence."""
    order: dict[str, dict[str, None]] = {}
    for some in batches:
        for user, ids in some.items():
            order.setdefault(user, {}).update(dict.fromkeys(ids))
    return {user: list(ids) for user, ids in order.items()}


def ids_of(events_of: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """user ▸ event ids."""
    return {user: [one["event_id"] for one in events] for user, events in events_of.items()}


def applied_in_order(record_file: Path) -> dict[str, list[str]]:
    """user ▸ event ids in the order in which they were first applied."""
    return in_order(map(json.loads, record_file.read_text().splitlines()))
