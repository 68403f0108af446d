"""Hypothesis strategies for histories and views: ties, late and repeated events, several users, any view.

Expected values come from `event_rows.oracle_values`. Example counts are reduced unless SEGUE_ACCEPTANCE=1.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sequences import behaviors
from sequences.sequence_views import ATTRIBUTES, INFERRED_BEHAVIORS, SORT_KEY_ATTRIBUTES, SequenceView
from tests.support.sequences.event_rows import to_us, us
from tests.support.sequences.reported_events import DURATION_MS

USERS = ("u1", "u2", "u3")

DAY = 86_400
ENCODERS = {
    "event_id": {f"e{(n * 7919) % 997:03d}": n + 2 for n in range(20)},
    "target_type": {"track": 2, "artist": 3},
    "target_id": {"t0": 2, "t1": 3},
    "track_id": {f"t{n}": n + 2 for n in range(4)},
    "behavior": behaviors.load_behaviors().encoder,
    "scene": {"": 2, "daily": 3},
}
"""Encoders of all string attributes; some texts are intentionally missing."""

ACTIONS = ("play", "play", "play", "click", "like", "collect", "dislike", "block")


def examples(reduced: int, full: int) -> settings:
    """Settings with `reduced` examples per property, or `full` with SEGUE_ACCEPTANCE=1."""
    return settings(
        max_examples=full if os.environ.get("SEGUE_ACCEPTANCE") == "1" else reduced,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@st.composite
def histories(
    draw: st.DrawFn, prefix: str = "e", impressions: bool = False, shift: float = 0, max_size: int = 25
) -> list[dict[str, Any]]:
    """Events in arrival order: unsorted, of few users and times so that many tie or nearly tie, some duplicated.

    Events have the columns that `event_rows` reads; `second` is the end. `prefix` separates the ids of two
    histories, `shift` (seconds) their times.
    """
    actions = (*ACTIONS, "impression") if impressions else ACTIONS
    events = []
    for n in range(draw(st.integers(1, max_size))):
        action = draw(st.sampled_from(actions))
        second = 60 * draw(st.integers(0, 6)) + 1e-6 * draw(st.sampled_from([0, 0, 0, 1, 3])) + shift
        event = {
            "event_id": f"{prefix}{(n * 7919) % 997:03d}",
            "user_id": draw(st.sampled_from(USERS)),
            "second": second,
            "occurred_second": second - draw(st.sampled_from([0, 0, 45])),
            "sequence_number": draw(st.integers(0, 3)),
            "action": action,
            "played_ms": draw(st.sampled_from([1_000, 50_000, 95_000, 150_000])) if action == "play" else None,
            "target_type": draw(st.sampled_from(["track", "artist", "playlist"]))
            if action in ("click", "collect", "dislike", "block")
            else "track",
            "target_id": draw(st.sampled_from(["t0", "t1", "t2", "new"])),
            "scene": draw(st.sampled_from([None, "daily"])),
        }
        events.append(event | _derived_columns(event))
    again = draw(st.lists(st.sampled_from(events), max_size=4))
    return [dict(event) for event in draw(st.permutations([*events, *again]))]


@st.composite
def views(draw: st.DrawFn) -> SequenceView:
    """Any valid view: some behaviors, any target types and attributes, 1 to 7 events long, daily or not."""
    reported = sorted(behaviors.load_behaviors().encoder.keys() - {*INFERRED_BEHAVIORS})
    choices = (st.lists(st.sampled_from(reported), min_size=1, unique=True), st.just(list(INFERRED_BEHAVIORS)))
    chosen_behaviors = tuple(draw(st.one_of(*choices)))
    optional = [name for name in ATTRIBUTES if name not in SORT_KEY_ATTRIBUTES]
    chosen = draw(st.sets(st.sampled_from(optional)))
    return SequenceView(
        name="random",
        behaviors=chosen_behaviors,
        length=draw(st.integers(1, 7)),
        attribute_names=(*SORT_KEY_ATTRIBUTES, *(name for name in optional if name in chosen)),
        target_types=draw(st.sampled_from([(), ("track",), ("artist", "track")])),
        is_daily=chosen_behaviors == INFERRED_BEHAVIORS or draw(st.booleans()),
    )


def query_times(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """(user, µs) at, just before and just after every event, also for a user without events.

    `rows` are rows of the event table. The result is unsorted and contains duplicates.
    """
    times = {us(0), us(DAY) - 1, us(DAY), us(DAY) + 1}
    for row in rows:
        known = to_us(row["known_at"])
        times.update((known - 1, known, known + 1))
    queries = [(user, time) for time in sorted(times, key=lambda time: time % 7) for user in (*USERS, "unknown_user")]
    return queries + queries[:3]


def _derived_columns(event: dict[str, Any]) -> dict[str, Any]:
    """The columns that dbt derives from an event; impressions are without click."""
    duration = DURATION_MS if event["action"] == "play" else None
    behavior = behaviors.load_behaviors().behavior_of(event["action"], event["played_ms"], duration)
    ratio = behaviors.played_ratio(event["played_ms"], duration)
    return {
        "behavior": behavior or "impression_without_click",
        "played_ratio": None if ratio is None else float(np.float32(ratio)),
    }
