"""Private sessions: what users play meanwhile is acknowledged, and kept nowhere.

A session lasts from the event `start_private` to `end_private`, at most `MAX_SESSION_US`. Its times are kept as long as late
events of the session may arrive. Of more than `MAX_SESSIONS` of a user, the oldest become one, with the time between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from event_store.behaviors import BEHAVIORS
from event_store.event_rules import MAX_AGE_US, Event

MAX_SESSION_US = 12 * 3600 * 1_000_000
MAX_SESSIONS = 100
START, END = "start_private", "end_private"
EVERYONE = ""
"""User of the session after a loss of the sessions: from `MAX_AGE_US` before it to `MAX_SESSION_US` after it, everyone is in a
private session, which `end_private` ends as any other."""
HIDDEN_ACTIONS = frozenset({"impression"} | {row.action for row in BEHAVIORS if not row.is_explicit})
"""Actions that a private session keeps private; explicit feedback is kept."""


@dataclass(frozen=True)
class PrivateSession:
    """A private session of a user, µs since 1970, UTC; `until_us` is its latest end while it lasts."""

    since_us: int
    until_us: int

    def overlaps(self, event: Event) -> bool:
        """Whether a part of the event is within the session."""
        return int(event["occurred_at"]) <= self.until_us and int(event["ended_at"]) >= self.since_us


def is_hidden(event: Event, sessions: Sequence[PrivateSession]) -> bool:
    """Whether one of the user's sessions keeps the event private."""
    return event["action"] in HIDDEN_ACTIONS and any(one.overlaps(event) for one in sessions)


def current_session(sessions: Sequence[PrivateSession], now_us: int) -> PrivateSession | None:
    """The session that lasts now; None if there is none."""
    return next((one for one in sessions if one.since_us <= now_us < one.until_us), None)


def sessions_after(event: Event, sessions: Sequence[PrivateSession], now_us: int) -> list[PrivateSession]:
    """The user's sessions after an event that begins or ends one, without those that are empty or too old; ascending."""
    at_us = int(event["ended_at"])
    if event["action"] == START:
        begun = [] if current_session(sessions, at_us) else [PrivateSession(at_us, at_us + MAX_SESSION_US)]
        after = sorted([*sessions, *begun], key=lambda one: one.since_us)
    else:
        after = [
            PrivateSession(one.since_us, min(one.until_us, at_us)) if one.since_us <= at_us else one for one in sessions
        ]
    after = [one for one in after if one.since_us < one.until_us and one.until_us >= now_us - MAX_AGE_US]
    if len(after) > MAX_SESSIONS:
        oldest = after[: len(after) - MAX_SESSIONS + 1]
        joined = PrivateSession(oldest[0].since_us, max(one.until_us for one in oldest))
        after = [joined, *after[len(oldest) :]]
    return after
