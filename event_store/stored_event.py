"""How an event is kept by every store: its id as a keyed hash, its kind, and its columns as a text.

Pure functions, independent of stores.
"""

from __future__ import annotations

import hmac
import json

from event_store.store import DAY_US, MAX_AGE_US, Event

KEY_BYTES = 32
CODE_BYTES = 16
ID_PERIOD_US = MAX_AGE_US + DAY_US
"""Ids are deleted after one to two of these periods."""


def id_code(key: bytes, event: Event) -> bytes:
    """What is kept of the id of every event, also of private ones, without their users and times."""
    return hmac.digest(key, event["event_id"].encode(), "sha256")[:CODE_BYTES]


def kind_of(event: Event) -> str:
    """Behavior and type of target; empty for an event without a behavior, which no view shows."""
    return f"{event['behaviour']} {event['target_type']}" if event.get("behaviour") else ""


def to_text(event: Event) -> str:
    """The columns that have a value, as JSON."""
    return json.dumps({name: value for name, value in event.items() if value is not None}, separators=(",", ":"))
