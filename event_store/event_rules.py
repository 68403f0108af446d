"""The contract of an event: the columns of `listening_events` and their rules.

Ids and texts consist of printable characters.

The schema and the checks of landing, `POST /events` and its part of the OpenAPI document, the expectations of the landed
and of the built events, and the page of the data contract are made from these tables.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from event_store.behaviors import ACTIONS, BEHAVIORS, EVENT_TARGET_TYPES, NAME_SEPARATOR

Event = dict[str, Any]
"""A row with every column of the contract: times in µs UTC, None if absent. A stored event also has `behavior` (None if it is not
known from the event alone, as of an impression) and `played_ratio`."""
UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Unicode categories: control, surrogate, unassigned and private characters, and separators of lines and paragraphs."""


_UNPRINTABLE_RANGES = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
PRINTABLE_PATTERN = f"^[^{_UNPRINTABLE_RANGES}]*$"
"""`is_printable` as a regular expression of Python and JavaScript, which accepts unassigned and private characters, too."""
ID_PATTERN = rf"^[^\s{_UNPRINTABLE_RANGES}]([^{_UNPRINTABLE_RANGES}]*[^\s{_UNPRINTABLE_RANGES}])?$"
"""The same for ids, which are not empty and neither begin nor end with white space."""


def is_printable(text: str) -> bool:
    """Whether the text has printable characters only, as `str.isprintable`, which however rejects the spaces of other scripts
    and the joiners of emoji and Persian words.
    """
    return text.isprintable() or not any(unicodedata.category(character) in UNPRINTABLE for character in text)


MAX_ID_BYTES = 256
DAY_MS = 24 * 3600 * 1000
MAX_AGE_US = 30 * 1000 * DAY_MS
"""Age of the oldest event that is accepted, so ids are kept longer than that."""
MAX_FUTURE_US = 5 * 60_000_000
"""How far an accepted event may be ahead of the server's clock."""
MAX_POSITION = 10_000


@dataclass(frozen=True)
class Column:
    """A column of a table of the data contract; values of a column with a `maximum` are not negative."""

    name: str
    kind: Literal["text", "time", "int64", "int32", "double", "other"]
    landed: str  # description of the landed column
    reported: str = ""  # description of the field of `POST /events`
    is_required: bool = False
    is_filled_in: bool = False  # by the service, if a report lacks it
    allowed: tuple[str, ...] = ()
    maximum: int | None = None
    is_positive: bool = False


EVENT_COLUMNS = (
    Column(
        "event_id",
        "text",
        "Idempotency key: duplicates are dropped",
        "Rows with the same id are one event; default: a hash of the event and its times, which differs if a row "
        "without times is resent",
        is_required=True,
        is_filled_in=True,
    ),
    Column("user_id", "text", "Pseudonym of the user", "User who acted", is_required=True),
    Column(
        "sequence_number",
        "int64",
        "Order in the source within the user; breaks ties of ended_at",
        "The client's order of events that end at the same time",
        is_required=True,
        is_filled_in=True,
    ),
    Column(
        "target_type",
        "text",
        f"Type of the target: {', '.join(EVENT_TARGET_TYPES)}",
        "Type of the target",
        is_required=True,
        allowed=EVENT_TARGET_TYPES,
    ),
    Column(
        "target_id",
        "text",
        "Id of the target within its type",
        "Id of the target within its type",
        is_required=True,
    ),
    Column(
        "occurred_at",
        "time",
        "Start of the event, coarse enough not to reveal its outcome",
        "Start: ISO 8601 in UTC, or µs since 1970; default: derived from the end",
        is_required=True,
        is_filled_in=True,
    ),
    Column(
        "ended_at",
        "time",
        "Time at which the outcome was known; equals occurred_at except for plays",
        "End of a play, in the same formats; default: now",
        is_required=True,
        is_filled_in=True,
    ),
    Column("action", "text", f"Action: {', '.join(ACTIONS)}", "What the user did", is_required=True, allowed=ACTIONS),
    Column(
        "played_ms",
        "int64",
        "Played duration in milliseconds; required for plays, null for other actions",
        "Played time in ms; required for plays, invalid otherwise",
        maximum=DAY_MS,
    ),
    Column(
        "scene",
        "text",
        "Product scene: daily, private_fm, playlists, mlog, similar, continuation, path, library",
        "Place in the product",
    ),
    Column(
        "context_id",
        "text",
        "Collection that the target was played from, with type: playlist:7, album:3, mlog:9",
        "Where the target came from, typed: playlist:7, album:3",
    ),
    Column("request_id", "text", "Recommendation request that exposed the target", "Response that showed the target"),
    Column(
        "position",
        "int32",
        f"Position in the response, from 0 to {MAX_POSITION:,}",
        "Position in that response, from 0",
        maximum=MAX_POSITION,
    ),
    Column(
        "propensity",
        "double",
        "Probability with which the response showed the target, in (0, 1]",
        "Probability with which that response showed the target",
        maximum=1,
        is_positive=True,
    ),
    Column("device", "text", "Type of device", "Kind of device"),
)
COLUMN = {column.name: column for column in EVENT_COLUMNS}


@dataclass(frozen=True)
class Rule:
    """What each row satisfies that has a value in all of `columns`.

    `holds` takes the values: plain ones of a reported event, or Polars expressions of the columns of a landed table.
    """

    columns: tuple[str, ...]
    holds: Callable[..., Any]
    reason: str  # why a row is not valid; {column} stands for the value of a column
    takes_null: bool = False  # rows without a value must satisfy it, too
    is_of_text: bool = False  # `holds` takes a plain text of a landed table, too
    only: Literal["landed", "reported"] | None = None


def is_in(value: Any, allowed: Collection[str]) -> Any:
    """Whether a text, or each one of an expression, is among `allowed`."""
    return value in allowed if isinstance(value, str) else value.is_in(sorted(allowed))


def has_value(value: Any) -> Any:
    """Whether a plain value, or each one of an expression, is not null."""
    return value.is_not_null() if hasattr(value, "is_not_null") else value is not None


def is_id(text: str) -> bool:
    """Whether a text may be an id. U+FFFD stands for bytes that are not UTF-8."""
    return is_printable(text) and "\ufffd" not in text and len(text.encode()) <= MAX_ID_BYTES


def column_rules(column: Column) -> Iterator[Rule]:
    """The rules of the values of one column."""
    name, columns, value = column.name, (column.name,), f"{column.name} {{{column.name}}}"
    if column.is_required:
        only: Literal["landed"] | None = "landed" if column.is_filled_in else None
        yield Rule(columns, has_value, f"{name} is missing", takes_null=True, only=only)
    if column.allowed:
        yield Rule(
            columns, partial(is_in, allowed=column.allowed), f"{value} is not one of {', '.join(column.allowed)}"
        )
    elif column.kind == "text":
        reason = f"{name} is too long or not printable; give at most {MAX_ID_BYTES} bytes of printable UTF-8"
        yield Rule(columns, is_id, reason, is_of_text=True, only=None if name.endswith("_id") else "reported")
    if (most := column.maximum) is not None:
        if column.is_positive:
            yield Rule(columns, lambda number: (number > 0) & (number <= most), f"{value} is not in (0, {most}]")
        else:
            yield Rule(columns, lambda number: (number >= 0) & (number <= most), f"{value} is not from 0 to {most}")


def time_rules(began: str, ended: str, earliest: Any, end: Any, too_early: str, too_late: str) -> tuple[Rule, Rule]:
    """That an event is not before `earliest` and ends before `end`, in the unit of the rows, with the reasons if it is not."""
    return (
        Rule((began,), lambda time: time >= earliest, f"{began} {{{began}}} is {too_early}"),
        Rule((ended,), lambda time: time < end, f"{ended} {{{ended}}} is {too_late}"),
    )


TARGETED = frozenset(f"{row.action} {kind}" for row in BEHAVIORS for kind in row.targets)
APPLIES_TO = "; ".join(
    f"{', '.join(dict.fromkeys(row.action for row in BEHAVIORS if row.targets == targets))}: {', '.join(targets)}"
    for targets in dict.fromkeys(row.targets for row in BEHAVIORS)
)
EVENT_RULES = (
    Rule(
        ("action", "target_type"),
        lambda action, kind: is_in(action + " " + kind, TARGETED),
        f"action {{action}} does not apply to target_type {{target_type}} ({APPLIES_TO})",
    ),
    Rule(
        ("action", "target_id"),
        lambda action, target: (action != "rename") | (NAME_SEPARATOR in target),
        f"target_id of a rename is the interest, {NAME_SEPARATOR!r} and its new name",
        only="reported",
    ),
    Rule(
        ("action", "played_ms"),
        lambda action, played: (action != "play") | has_value(played),
        "played_ms is missing; plays need it, in milliseconds",
        takes_null=True,
    ),
    Rule(
        ("action", "played_ms"),
        lambda action, _: action == "play",
        "action {action} has played_ms {played_ms}; only plays may have it",
    ),
    Rule(
        ("occurred_at", "ended_at"),
        lambda began, ended: began <= ended,
        "ended_at {ended_at} is before occurred_at {occurred_at}; an event cannot end before it begins",
    ),
    Rule(
        ("action", "occurred_at", "ended_at"),
        lambda action, began, ended: (action == "play") | (began == ended),
        "action {action} has a different ended_at and occurred_at; only plays may have a duration",
    ),
)
"""The rules of several columns of an event. `time_rules` has the limits of landing and of the service."""


def find_violation(row: Mapping[str, Any], rules: Iterable[Rule]) -> Rule | None:
    """The first rule that a row of plain values does not satisfy; None if it is valid."""
    for rule in rules:
        values = [row[name] for name in rule.columns]
        if (rule.takes_null or None not in values) and not rule.holds(*values):
            return rule
    return None
