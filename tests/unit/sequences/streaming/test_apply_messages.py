"""EventApplier: batching, retries while the store is unavailable, and isolation of invalid events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sequences.streaming import apply_messages
from sequences.streaming.apply_messages import ConsumerStopped, EventApplier
from sequences.streaming.message import DeadLetter, Message
from sequences.streaming.metrics import ConsumerMetrics
from storage import suppression_list


class Store:
    """A writer that records its calls; fails `failures` times, and for every event named `bad…`."""

    def __init__(self, failures: int = 0) -> None:
        self.calls: list[dict[str, list[Any]]] = []
        self.failures = failures

    def apply_batch(self, events_of: Mapping[str, list[Mapping[str, Any]]]) -> int:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("store is away")
        for events in events_of.values():
            for one in events:
                if one["event_id"].startswith("bad"):
                    raise ValueError(f"what is {one['event_id']}?")
        self.calls.append({user: [one["event_id"] for one in events] for user, events in events_of.items()})
        return sum(map(len, events_of.values()))


def content(user: str, *ids: str, **duration_ms: int) -> bytes:
    return Message(user, [{"event_id": one} for one in ids], duration_ms).to_bytes()


def make_applier(store: Any, folder: Path) -> tuple[EventApplier, CollectorRegistry]:
    registry = CollectorRegistry()
    return EventApplier(lambda _: store, folder / "forgotten.json", ConsumerMetrics(registry)), registry


def apply_all(applier: EventApplier, *jobs: list[bytes]) -> list[list[DeadLetter]]:
    async def run() -> list[list[DeadLetter]]:
        return await asyncio.gather(*map(applier.apply, jobs))

    return asyncio.run(run())


def test_batches_of_several_partitions_are_applied_together_in_order_per_user(tmp_path: Path) -> None:
    store = Store()
    applier, _ = make_applier(store, tmp_path)
    assert apply_all(applier, [content("u", "1"), content("v", "2")], [content("w", "3"), content("w", "4", "5")]) == [
        [],
        [],
    ]
    assert store.calls == [{"u": ["1"], "v": ["2"], "w": ["3", "4", "5"]}]


def test_an_invalid_row_becomes_a_dead_letter_of_its_job_and_others_are_applied(tmp_path: Path) -> None:
    store = Store()
    applier, registry = make_applier(store, tmp_path)
    first, second = apply_all(applier, [content("u", "1", "bad2", "3")], [content("v", "4"), b"{}", b"\xff"])
    assert [letter.reason for letter in first] == ["ValueError('what is bad2?')"]
    assert first[0].user_id == "u" and "bad2" in first[0].content
    assert len(second) == 2
    assert [one for call in store.calls for ids in call.values() for one in ids] == ["1", "3", "4"]
    assert registry.get_sample_value("segue_broker_events_total", {"outcome": "dead"}) == 3
    assert registry.get_sample_value("segue_broker_events_total", {"outcome": "applied"}) == 3


@pytest.mark.parametrize(
    "damage",
    [
        *('"duration_ms": []', '"duration_ms": {"t": "1"}', '"sent_us": Infinity', '"x": ' + "[" * 100_000),
        *(f'"sent_us": -{10**400}', '"user_id": ""', '"user_id": null', '"user_id": ["u"]'),
    ],
)
def test_damaged_messages_are_dead_letters_and_others_are_applied(tmp_path: Path, damage: str) -> None:
    store = Store()
    applier, _ = make_applier(store, tmp_path)
    damaged = f'{{"user_id": "u", "events": [{{"event_id": "1"}}], {damage}}}'.encode()
    (letters,) = apply_all(applier, [damaged, content("v", "2")])
    assert len(letters) == 1 and store.calls == [{"v": ["2"]}]


def test_writes_to_an_unavailable_store_are_retried_without_loss(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(apply_messages, "RETRY_S", 0.001)
    store = Store(failures=5)
    applier, registry = make_applier(store, tmp_path)
    assert apply_all(applier, [content("u", "1")]) == [[]]
    assert store.calls == [{"u": ["1"]}]
    assert registry.get_sample_value("segue_broker_retries_total") == 5


def test_stopping_while_the_store_is_unavailable_raises(tmp_path: Path) -> None:
    applier, _ = make_applier(Store(failures=1_000_000), tmp_path)
    applier.stop()
    with pytest.raises(ConsumerStopped):
        apply_all(applier, [content("u", "1")])


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_store_can_be_opened_before_the_first_events(tmp_path: Path, monkeypatch: Any, failures: int) -> None:
    monkeypatch.setattr(apply_messages, "RETRY_S", 0.001)
    store, tries = Store(), []

    def open_writer(duration_of: Any) -> Store:
        tries.append(1)
        if len(tries) <= failures:
            raise LookupError("no such feature view")
        return store

    applier = EventApplier(open_writer, tmp_path / "forgotten.json", ConsumerMetrics(CollectorRegistry()))
    applier.open()
    assert len(tries) == 1
    assert apply_all(applier, [content("u", "1")], [content("u", "2")]) == [[], []]
    assert len(tries) == failures + 1 and store.calls == [{"u": ["1", "2"]}]


def test_events_of_suppressed_users_are_dropped_and_the_digest_is_reported(tmp_path: Path) -> None:
    store = Store()
    applier, registry = make_applier(store, tmp_path)
    suppression_list.SuppressionList().with_users(["u"]).write(tmp_path / "forgotten.json")
    assert apply_all(applier, [content("u", "1"), content("v", "2")]) == [[]]
    assert store.calls == [{"v": ["2"]}]
    assert registry.get_sample_value("segue_broker_events_total", {"outcome": "forgotten"}) == 1
    assert applier.suppression_digest() == suppression_list.content_digest((tmp_path / "forgotten.json").read_bytes())
