"""What an action of the log means: the behaviour it is, whether that is good or bad, and its number.

SQL and Python read the same two files: the seed `dbt/seeds/behaviours.csv` and the vars of `dbt/dbt_project.yml`.
Nothing is read at import; `load()` reads once a process.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import yaml

from config import settings

DBT_FOLDER = settings.ROOT / "dbt"


class BehaviourError(ValueError):
    """An action or a threshold cannot be turned into a behaviour; the message names the value and the remedy."""


@dataclass(frozen=True)
class Behaviour:
    """One row of the seed."""

    behaviour_id: int
    behaviour: str
    action: str
    polarity: str
    is_explicit: bool


@dataclass(frozen=True)
class Behaviours:
    """The table of behaviours and the thresholds that tell plays apart."""

    rows: tuple[Behaviour, ...]
    skip_below_ms: int
    full_play_ratio: float
    session_gap_minutes: int

    @property
    def ids(self) -> dict[str, int]:
        """behaviour ▸ behaviour_id, from 1."""
        return {row.behaviour: row.behaviour_id for row in self.rows}

    @cached_property
    def encoder(self) -> dict[str, int]:
        """behaviour ▸ code in a `SequenceBatch`: behaviour_id + 1, as 0 is padding and 1 is unknown."""
        return {row.behaviour: row.behaviour_id + 1 for row in self.rows}

    def with_polarity(self, polarity: str) -> tuple[str, ...]:
        """Behaviours that are `positive`, `negative` or `neutral`, in the seed's order."""
        return tuple(row.behaviour for row in self.rows if row.polarity == polarity)

    def behaviour_of(self, action: str, played_ms: int | None, duration_ms: int | None) -> str | None:
        """The behaviour of a logged action; None for an impression, which becomes one only by its outcome.

        A play is a `skip` below `skip_below_ms`, a `full_play` from `full_play_ratio` of the track on, else a `play`
        (a partial listen, or one of a track whose length nobody knows).

        Raises:
            BehaviourError: the action is not in the seed, or a play has no `played_ms`.
        """
        if action == "impression":
            return None
        if action == "play":
            if played_ms is None:
                raise BehaviourError("a play without played_ms has no behaviour; send how long it was played")
            if played_ms < self.skip_below_ms:
                return "skip"
            ratio = played_ratio(played_ms, duration_ms)
            return "full_play" if ratio is not None and ratio >= self.full_play_ratio else "play"
        for row in self.rows:
            if row.action == action:
                return row.behaviour
        known = sorted({row.action for row in self.rows})
        raise BehaviourError(
            f"action {action!r} is not known; use one of {known}, or add it to dbt/seeds/behaviours.csv"
        )


def played_ratio(played_ms: int | None, duration_ms: int | None) -> float | None:
    """Share of the track that was played, 0..1; None when either is unknown. The same rule as dbt's."""
    if played_ms is None or duration_ms is None or duration_ms <= 0:
        return None
    return min(1.0, played_ms / duration_ms)


@lru_cache(maxsize=8)
def load_behaviours(dbt_folder: Path = DBT_FOLDER) -> Behaviours:
    """The behaviours of a dbt project.

    Raises:
        BehaviourError: the project lacks a threshold.
    """
    with (dbt_folder / "seeds" / "behaviours.csv").open(encoding="utf-8", newline="") as seed:
        rows = tuple(
            Behaviour(
                behaviour_id=int(row["behaviour_id"]),
                behaviour=row["behaviour"],
                action=row["action"],
                polarity=row["polarity"],
                is_explicit=row["is_explicit"].lower() == "true",
            )
            for row in csv.DictReader(seed)
        )
    project = yaml.safe_load((dbt_folder / "dbt_project.yml").read_text(encoding="utf-8"))
    return Behaviours(
        rows=rows,
        skip_below_ms=int(_variable(project, "skip_below_ms", dbt_folder)),
        full_play_ratio=float(_variable(project, "full_play_ratio", dbt_folder)),
        session_gap_minutes=int(_variable(project, "session_gap_minutes", dbt_folder)),
    )


def behaviour_of(action: str, played_ms: int | None, duration_ms: int | None) -> str | None:
    """`Behaviours.behaviour_of` of this repository's dbt project."""
    return load_behaviours().behaviour_of(action, played_ms, duration_ms)


def _variable(project: dict[str, dict[str, object]], name: str, dbt_folder: Path) -> str:
    # dbt allows vars at the top or under the project's name.
    variables = dict(project.get("vars") or {})
    for scope in list(variables.values()):
        if isinstance(scope, dict):
            variables.update(scope)
    if name not in variables:
        raise BehaviourError(f"{dbt_folder / 'dbt_project.yml'} has no var {name!r}; add it under vars")
    return str(variables[name])
