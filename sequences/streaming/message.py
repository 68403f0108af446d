"""Broker messages: the events of one report of one user, with the lengths of the played tracks."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_TIME_US = 1 << 62


@dataclass(frozen=True)
class Topic:
    """Destination of messages: the Redis streams `<name>:<partition>`.

    Change the number of partitions only while they are empty; otherwise a user's messages would be in two partitions.
    """

    name: str = "segue.events"
    partitions: int = 16
    group: str = "segue"  # consumer group

    @property
    def dead_letter_name(self) -> str:
        """Name of the dead-letter stream."""
        return f"{self.name}.dead"

    def stream(self, partition: int) -> str:
        """Name of a partition's Redis stream."""
        return f"{self.name}:{partition}"

    def partition_of(self, user_id: str) -> int:
        """The partition of a user's messages."""
        return zlib.crc32(user_id.encode("utf-8", "surrogatepass")) % self.partitions


TOPIC = Topic()


@dataclass(frozen=True)
class Message:
    """Events of one user; includes track lengths, so that consumers can classify plays without the catalog."""

    user_id: str
    events: Sequence[Mapping[str, Any]]  # rows of the data contract, in the order of the log
    duration_ms: Mapping[str, int] = field(default_factory=dict)  # played track ▸ length, if known
    sent_us: int = 0  # send time, µs UTC; 0 if unknown

    def to_bytes(self) -> bytes:
        """The encoded message."""
        return json.dumps(vars(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Message:
        """The message of `to_bytes` content.

        Raises:
            ValueError: The content has another format.
        """
        try:
            row = json.loads(content)
            message = cls(row["user_id"], row["events"], row.get("duration_ms", {}), int(row.get("sent_us", 0)))
        except (KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"not an event message: {error!r}") from error
        if not isinstance(message.user_id, str) or not message.user_id:
            raise ValueError("not an event message: `user_id` is not the id of a user")
        if not 0 <= message.sent_us < MAX_TIME_US:
            raise ValueError("not an event message: `sent_us` is not a time in µs")
        if not isinstance(message.events, list) or not all(isinstance(event, dict) for event in message.events):
            raise ValueError("not an event message: `events` is not a list of rows")
        lengths = message.duration_ms
        if not isinstance(lengths, dict) or not all(isinstance(length, int) for length in lengths.values()):
            raise ValueError("not an event message: `duration_ms` is not a table of lengths in ms")
        return message


@dataclass(frozen=True)
class DeadLetter:
    """An event or message that cannot be applied, and the reason."""

    reason: str
    user_id: str  # empty if the message could not be decoded
    content: str  # JSON of the event, or the raw message

    def to_bytes(self) -> bytes:
        """The encoded dead letter."""
        return json.dumps(vars(self)).encode()


def build_messages(
    events_of: Mapping[str, Sequence[Mapping[str, Any]]], duration_of: Callable[[str], int | None]
) -> Iterator[Message]:
    """One message per user.

    Args:
        events_of: user ▸ contract rows.
        duration_of: track_id ▸ length in ms, None if unknown.
    """
    now_us = time.time_ns() // 1000
    for user_id, events in events_of.items():
        played = {event["target_id"] for event in events if event["action"] == "play"}
        durations = {track: duration_of(track) for track in sorted(played)}
        known_durations = {track: duration for track, duration in durations.items() if duration is not None}
        rows = [{name: value for name, value in event.items() if value is not None} for event in events]
        yield Message(user_id, rows, known_durations, now_us)
