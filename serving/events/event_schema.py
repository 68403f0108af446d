"""Validation of reported events: one row of the data contract's `listening_events`.

The landing zone validates again, more slowly; this check lets a client see its error in the response. Behaviors come from
the dbt seed that all stages read; a contract test compares this file with the landing contract.
Independent of HTTP or storage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sequences import behaviours
from serving.field_suggestions import suggest
from storage.printable_text import ID_PATTERN, is_printable
from training.data.exclusions import NAME_SEPARATOR

MAX_TEXT_BYTES = 256
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_BYTES, pattern=ID_PATTERN)]
TARGET_TYPES = ("track", "playlist", "album", "artist", "mlog", "interest", "session")


class ReportedEvent(BaseModel):
    """One event: a row of the data contract's `listening_events`. Every column that is not required may be null."""

    # For documentation; `read_event` validates rows.
    model_config = ConfigDict(extra="forbid")

    event_id: Text | None = Field(
        default=None,
        description="Rows with the same id are one event; default: a hash of the event and its times, which differs if a row "
        "without times is resent",
    )
    user_id: Text = Field(description="User who acted")
    sequence_number: int | None = Field(
        default=None, description="The client's order of events that end at the same time"
    )
    target_type: str = Field(description="Type of the target", json_schema_extra={"enum": list(TARGET_TYPES)})
    target_id: Text = Field(description="Id of the target within its type")
    occurred_at: str | int | None = Field(
        default=None, description="Start: ISO 8601 in UTC, or µs since 1970; default: derived from the end"
    )
    ended_at: str | int | None = Field(default=None, description="End of a play, in the same formats; default: now")
    action: str = Field(description="What the user did")
    played_ms: int | None = Field(default=None, description="Played time in ms; required for plays, invalid otherwise")
    scene: Text | None = Field(default=None, description="Place in the product")
    context_id: Text | None = Field(default=None, description="Where the target came from, typed: playlist:7, album:3")
    request_id: Text | None = Field(default=None, description="Response that showed the target")
    position: int | None = Field(default=None, description="Position in that response, from 0")
    propensity: float | None = Field(default=None, description="Probability with which that response showed the target")
    device: Text | None = Field(default=None, description="Kind of device")


CONTROL_TARGETS = {
    **dict.fromkeys(("exclude", "unexclude"), ("album", "playlist", "interest")),
    **dict.fromkeys(("reset", "unreset", "rename"), ("interest",)),
    **dict.fromkeys(("start_private", "end_private"), ("session",)),
}
"""Action that controls the taste profile → types of its targets."""
COLUMNS = tuple(ReportedEvent.model_fields)
MICROSECONDS_PER_SECOND = 1_000_000  # times are in µs since 1970, UTC
MIN_PLAUSIBLE_US = 10_000_000_000_000  # April 1970; seconds and milliseconds of this century are below it
MAX_FUTURE_US = 5 * 60 * MICROSECONDS_PER_SECOND
MAX_AGE_US = 30 * 24 * 3600 * MICROSECONDS_PER_SECOND
MAX_PLAY_MS = 24 * 3600 * 1000
MAX_INTEGER = 2**63 - 1
MAX_POSITION = 10_000

Event = dict[str, Any]
"""A row with every column of `COLUMNS`: times in µs UTC, None if absent; the log fills in `sequence_number`."""


class EventRejected(ValueError):
    """A row violates the contract; the message is returned to the client."""


@lru_cache(maxsize=1)
def allowed_actions() -> tuple[str, ...]:
    """The actions that a client may report: `impression`, then those of the seed in its order."""
    rows = behaviours.load_behaviours().rows
    return tuple(dict.fromkeys(("impression", *(row.action for row in rows))))


def read_event(row: object, now_us: int) -> Event:
    """Parse a row and fill in the columns that it omits.

    A missing time is `now_us`; a play without `occurred_at` began `played_ms` before it ended. A missing `event_id` is a
    hash of the event and its times: the same row with a time sent twice is one event, and without times it is two. Clients
    that may send a row without times again, or report real repeats at one time, must send ids.

    Raises:
        EventRejected: The row violates the contract; the message names the column and the remedy.
    """
    if not isinstance(row, Mapping):
        raise EventRejected(f"an event is an object with columns, not {type(row).__name__}")
    unknown = sorted(str(name) for name in row.keys() - set(COLUMNS))
    if unknown:
        meant = suggest(unknown[0], [column for column in COLUMNS if column not in row])
        hint = f"did you mean {meant}? The" if meant else "the"
        raise EventRejected(f"unknown column {unknown[0][:64]!r}; {hint} contract has {', '.join(COLUMNS)}")
    event: Event = dict.fromkeys(COLUMNS)
    for column, read in _READERS.items():
        event[column] = read(column, row.get(column))
    _check_control(event["action"], event["target_type"], event["target_id"])
    is_play = event["action"] == "play"
    if is_play and event["played_ms"] is None:
        raise EventRejected("played_ms is missing; plays need it, in milliseconds")
    if not is_play and event["played_ms"] is not None:
        raise EventRejected(f"action {event['action']} has played_ms {event['played_ms']}; only plays may have it")
    event["occurred_at"], event["ended_at"] = _times(row, is_play, event["played_ms"] or 0, now_us)
    event["event_id"] = event["event_id"] or _event_id(event)
    return event


def _check_control(action: str, target_type: str, target_id: str) -> None:
    """Whether the target fits an action by which a user controls the taste profile."""
    fitting = CONTROL_TARGETS.get(action)
    if fitting is not None and target_type not in fitting:
        raise EventRejected(f"action {action} applies to {' or '.join(fitting)}, not to {target_type}")
    if fitting is None and target_type in ("interest", "session"):
        raise EventRejected(f"action {action} does not apply to {target_type}")
    if action == "rename" and NAME_SEPARATOR not in target_id:
        raise EventRejected(f"target_id of a rename is the interest, {NAME_SEPARATOR!r} and its new name")


def read_logged_event(line: bytes) -> Event | None:
    """The event of a line of the event log; None if the line is damaged."""
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or not all(isinstance(row.get(name), int) for name in ("occurred_at", "ended_at")):
            return None
        for column, read in {**_READERS, "event_id": _required_text}.items():
            read(column, row.get(column))
    except ValueError:
        return None
    return row


def _times(row: Mapping[str, Any], is_play: bool, played_ms: int, now_us: int) -> tuple[int, int]:
    began, ended = _time("occurred_at", row.get("occurred_at")), _time("ended_at", row.get("ended_at"))
    length = played_ms * 1000
    if ended is None:
        ended = now_us if began is None else began + length
    if began is None:
        began = ended - length
    if began > ended:
        raise EventRejected("occurred_at is after ended_at; an event cannot end before it begins")
    if not is_play and began != ended:
        raise EventRejected(
            f"action {row['action']} has an ended_at that differs from occurred_at; only plays may have a duration"
        )
    for name, time in (("occurred_at", began), ("ended_at", ended)):
        if time > now_us + MAX_FUTURE_US:
            raise EventRejected(
                f"{name} is {_format_time(time)}, more than 5 minutes ahead of the server's clock; check the device's clock"
            )
        if 0 < time < MIN_PLAUSIBLE_US:
            raise EventRejected(
                f"{name} is {_format_time(time)}; integers are microseconds since 1970: multiply seconds by 1,000,000, "
                "milliseconds by 1,000"
            )
        if time < now_us - MAX_AGE_US:
            raise EventRejected(
                f"{name} is {_format_time(time)}, more than 30 days ago; land history with `python -m ingestion.land`"
            )
    return began, ended


def _time(column: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER:
        return value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return _microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            pass
    raise EventRejected(f"{column} is not a time; use ISO 8601 in UTC or an integer of microseconds since 1970")


def _microseconds(moment: datetime) -> int:
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * MICROSECONDS_PER_SECOND + elapsed.microseconds


def _format_time(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us // MICROSECONDS_PER_SECOND, tz=UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return f"{time_us} µs since 1970"


def _event_id(event: Event) -> str:
    parts = [event[name] for name in COLUMNS if name not in ("event_id", "sequence_number")]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _text(column: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise EventRejected(f"{column} must be non-empty text")
    if value != value.strip():
        raise EventRejected(f"{column} begins or ends with white space")
    if not is_printable(value) or "\ufffd" in value:
        raise EventRejected(f"{column} contains an unprintable character")
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise EventRejected(f"{column} is longer than {MAX_TEXT_BYTES} bytes")
    return value


def _required_text(column: str, value: object) -> str:
    text = _text(column, value)
    if text is None:
        raise EventRejected(f"{column} is missing")
    return text


def _one_of(allowed: Callable[[], tuple[str, ...]]) -> Callable[[str, object], str]:
    def read(column: str, value: object) -> str:
        text = _required_text(column, value)
        if text not in allowed():
            raise EventRejected(f"{column} {text[:64]!r} is not one of {', '.join(allowed())}")
        return text

    return read


def _integer(largest: int) -> Callable[[str, object], int | None]:
    def read(column: str, value: object) -> int | None:
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            raise EventRejected(f"{column} must be an integer from 0 to {largest}")
        return value

    return read


def _propensity(column: str, value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise EventRejected(f"{column} must be a probability above 0 and up to 1")
    return float(value)


_READERS: dict[str, Callable[[str, object], Any]] = {
    "event_id": _text,
    "user_id": _required_text,
    "sequence_number": _integer(MAX_INTEGER),
    "target_type": _one_of(lambda: TARGET_TYPES),
    "target_id": _required_text,
    "action": _one_of(allowed_actions),
    "played_ms": _integer(MAX_PLAY_MS),
    "scene": _text,
    "context_id": _text,
    "request_id": _text,
    "position": _integer(MAX_POSITION),
    "propensity": _propensity,
    "device": _text,
}
