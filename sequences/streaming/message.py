"""What travels: the events of one report of one user, with what its sender knew of the tracks.

Knows nothing about brokers.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Topic:
    """Where messages go: streams `<name>:<partition>` of Redis, or the topic `<name>` of Kafka; dead letters beside them.

    The number of partitions may only change while nothing is in them: a user would be in two.
    """

    name: str = "segue.events"
    partitions: int = 16
    group: str = "segue"

    @property
    def dead_letter_name(self) -> str:
        """Where what cannot be applied is kept."""
        return f"{self.name}.dead"

    def stream(self, partition: int) -> str:
        """Redis's stream of a partition."""
        return f"{self.name}:{partition}"

    def partition_of(self, user_id: str) -> int:
        """The one partition that has this user's events."""
        return zlib.crc32(user_id.encode("utf-8", "surrogatepass")) % self.partitions


TOPIC = Topic()


@dataclass(frozen=True)
class Message:
    """Rows of the data contract, one user's, in the order of the log. `duration_ms` is track ▸ length of those that are
    played, where it is known: it tells a full play from a partial one, and whoever applies need not know the catalogue.
    """

    user_id: str
    events: Sequence[Mapping[str, Any]]
    duration_ms: Mapping[str, int] = field(default_factory=dict)
    sent_us: int = 0

    def to_bytes(self) -> bytes:
        """As it travels."""
        return json.dumps(vars(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Message:
        """What `to_bytes` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            row = json.loads(content)
            message = cls(str(row["user_id"]), row["events"], row.get("duration_ms", {}), int(row.get("sent_us", 0)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no message of events: {error!r}") from error
        if not isinstance(message.events, list) or not all(isinstance(event, dict) for event in message.events):
            raise ValueError("no message of events: `events` is no list of rows")
        return message


@dataclass(frozen=True)
class DeadLetter:
    """Something that cannot be applied, and why: one event of a message, or a content that is no message."""

    reason: str
    user_id: str
    content: str

    def to_bytes(self) -> bytes:
        """As it is kept."""
        return json.dumps(vars(self)).encode()


def build_messages(
    events_of: Mapping[str, Sequence[Mapping[str, Any]]], duration_of: Callable[[str], int | None]
) -> Iterator[Message]:
    """One message a user."""
    now_us = time.time_ns() // 1000
    for user_id, events in events_of.items():
        played = {event["target_id"] for event in events if event["action"] == "play"}
        lengths = {track: duration_of(track) for track in sorted(played)}
        known = {track: length for track, length in lengths.items() if length is not None}
        rows = [{name: value for name, value in event.items() if value is not None} for event in events]
        yield Message(user_id, rows, known, now_us)
