"""Sessions of a sequence compared with a simple oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequences import behaviors, sessions
from sequences.sequence_batch import encode
from sequences.sequence_views import SEQUENCE_VIEWS
from sequences.sessions import is_in_current_session, sessionize
from tests.support.sequences.random_histories import examples

VIEW = SEQUENCE_VIEWS["recent_events"]
MINUTE = 60_000_000
PLAYS = ("skip", "play", "full_play")
Event = tuple[str, int, int]

events = st.lists(
    st.tuples(st.sampled_from(["skip", "play", "full_play", "like", "block"]), st.integers(0, 45), st.integers(0, 5)),
    max_size=12,
)


def row(timed: list[Event]) -> dict[str, list[object]]:
    known: dict[str, list[object]] = {name: [0] * len(timed) for name in VIEW.attribute_names}
    return known | {
        "behavior": [behavior for behavior, _, _ in timed],
        "occurred_at": [began for _, began, _ in timed],
        "ended_at": [ended for _, _, ended in timed],
    }


def timed(steps: list[Event]) -> list[Event]:
    """Convert (behavior, idle minutes before, length in minutes) to (behavior, start, end), one after the other."""
    now, found = 1_700_000_000_000_000, []
    for behavior, idle, length in steps:
        began = now + idle * MINUTE
        now = began + (length * MINUTE if behavior in PLAYS else 0)
        found.append((behavior, began, now))
    return found


def oracle(timed: list[Event]) -> list[int]:
    session, last_end, found = 1, None, []
    for behavior, began, ended in timed:
        if behavior in PLAYS:
            session += last_end is not None and began - last_end > 30 * MINUTE
            last_end = ended
        found.append(session)
    return found


@examples(100, 2_000)
@given(st.lists(events, min_size=1, max_size=3))
def test_sessions_equal_the_oracle(steps: list[list[Event]]) -> None:
    users = [timed(one) for one in steps]
    batch = encode(VIEW, [row(one) for one in users], {"behavior": behaviors.load_behaviors().encoder}, length=12)
    np.testing.assert_array_equal(sessionize(batch), [oracle(one) + [0] * (12 - len(one)) for one in users])


def test_a_play_that_was_paused_for_a_day_begins_a_session() -> None:
    steps: list[Event] = [("play", 0, 3), ("play", 5, 24 * 60), ("play", 5, 24 * 60 + 1), ("play", 5, 3)]
    batch = encode(VIEW, [row(timed(steps))], {"behavior": behaviors.load_behaviors().encoder}, length=4)
    assert sessionize(batch).tolist() == [[1, 1, 2, 2]]


@examples(100, 2_000)
@given(st.lists(events, min_size=1, max_size=3), st.integers(0, 70), st.integers(1, 12))
def test_current_session_is_the_one_of_a_play_that_starts_at_the_request(
    steps: list[list[Event]], minutes: int, window: int
) -> None:
    users = [timed(one) for one in steps]
    batch = encode(VIEW, [row(one) for one in users], {"behavior": behaviors.load_behaviors().encoder}, length=12)
    request_at = [(one[-1][2] if one else 0) + minutes * MINUTE for one in users]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "WINDOW", window)
        found = is_in_current_session(batch, batch.length_B, np.array(request_at))
    for mask, one, at in zip(found.tolist(), users, request_at, strict=True):
        *numbers, current = oracle([*one, ("play", at, at)])
        has_play = any(behavior in PLAYS for behavior, _, _ in one)
        is_begun = not has_play or current > max(numbers)
        assert mask[: len(one)] == [
            ended >= at - 30 * MINUTE if is_begun else number == current
            for number, (_, _, ended) in zip(numbers, one, strict=True)
        ]
        assert not any(mask[len(one) :])
