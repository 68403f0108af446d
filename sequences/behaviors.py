"""Behaviors of logged actions: names, ids, polarity and the thresholds between them; also the session gap.

The single source for SQL and Python is `event_store.behaviors`, from which dbt's seed is written, and the vars of
`dbt/dbt_project.yml`. Nothing is read at import; `load_behaviors()` reads once per process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.settings import DBT_FOLDER, load_dbt_variables
from event_store.behaviors import BEHAVIORS, Behavior

MINUTE_US = 60_000_000


class BehaviorError(ValueError):
    """An action is invalid; the message names the value and the remedy."""


@dataclass(frozen=True)
class Behaviors:
    """The behavior table and the thresholds that classify plays and sessions."""

    rows: tuple[Behavior, ...]  # in the order of their ids
    skip_below_ms: int  # a shorter play is a skip
    full_play_ratio: float  # a play of at least this fraction of the track is a full play
    session_gap_minutes: int  # a longer pause between two plays begins a new session

    @cached_property
    def encoder(self) -> dict[str, int]:
        """behavior ▸ code in a `SequenceBatch`: behavior_id + 1, because 0 is padding and 1 is unknown."""
        return {row.behavior: row.behavior_id + 1 for row in self.rows}

    @property
    def session_gap_us(self) -> int:
        """The session gap in microseconds."""
        return self.session_gap_minutes * MINUTE_US

    def with_polarity(self, polarity: str) -> tuple[str, ...]:
        """Behaviors with the polarity `positive`, `negative`, `neutral`, REVERSAL or CONTROL, in the order of their ids."""
        return tuple(row.behavior for row in self.rows if row.polarity == polarity)

    def with_action(self, action: str) -> tuple[str, ...]:
        """Behaviors that derive from a logged action, in the order of their ids: of `play`, the full play, play and skip."""
        return tuple(row.behavior for row in self.rows if row.action == action)

    def behavior_of(self, action: str, played_ms: int | None, duration_ms: int | None) -> str | None:
        """The behavior of a logged action; None for an impression, whose behavior depends on its outcome.

        A play shorter than `skip_below_ms` is a `skip`; a play of at least `full_play_ratio` of the track is a
        `full_play`; all others are a `play` (a partial listen, or a track of unknown length).

        Raises:
            BehaviorError: The action is unknown, or a play has no `played_ms`.
        """
        if action == "impression":
            return None
        if action == "play":
            if played_ms is None:
                raise BehaviorError("a play without played_ms has no behavior; send the time played")
            if played_ms < self.skip_below_ms:
                return "skip"
            ratio = played_ratio(played_ms, duration_ms)
            return "full_play" if ratio is not None and ratio >= self.full_play_ratio else "play"
        if found := self.with_action(action):
            return found[0]
        known = sorted({row.action for row in self.rows})
        raise BehaviorError(f"action {action!r} is unknown; use one of {known}, or add it to event_store/behaviors.py")


def played_ratio(played_ms: int | None, duration_ms: int | None) -> float | None:
    """Fraction of the track that was played, 0..1; None if either value is unknown. Same rule as in dbt."""
    if played_ms is None or duration_ms is None or duration_ms <= 0:
        return None
    return min(1.0, played_ms / duration_ms)


@lru_cache(maxsize=8)
def load_behaviors(dbt_folder: Path = DBT_FOLDER) -> Behaviors:
    """The behaviors with the thresholds of a dbt project, read once per process."""
    variables: dict[str, Any] = load_dbt_variables(dbt_folder)
    names = ("skip_below_ms", "full_play_ratio", "session_gap_minutes")
    return Behaviors(BEHAVIORS, *(variables[name] for name in names))


@lru_cache(maxsize=8)
def code_mask(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each behavior code is of one of these behaviors; the last code, of none, stands for larger ones."""
    code = load_behaviors().encoder
    is_named = np.zeros(max(code.values()) + 2, dtype=bool)
    is_named[[code[name] for name in names]] = True
    return is_named
