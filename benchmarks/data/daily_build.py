"""Cost of a day as the history grows: the commands of `build_features` for the day after 1, 10 and 100 days.

Every day has `rows` events (`make bench ONLY=scale_day`; 100,000 by default) of the same users and tracks, all of which are
active each day, and all tracks have a length: an estimated length changes with every play, and with it the rows of all plays of
the track. Each history has a home in `SEGUE_HOME/scale/days/<events>-<days>`, which is removed after its measurement; its
numbers are stored next to it and not measured again. Results:

    scale_day             processor seconds of the next day after the longest history, relative to the shortest
    scale_day_exponent    exponent of processor seconds against days of history
    scale_day_processor   processor seconds of the next day after the longest history
    scale_day_late        processor seconds of a build with one late event of last week, relative to one with nothing new
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import resource_usage, synthetic_log
from benchmarks.result import Result, result_with_limit
from config import settings
from ingestion import contract
from local.environment import environment
from local.pipeline import feature_steps

DAYS = (1, 10, 100)
STEPS = ("validate_landed", "build_marts", "publish_marts", "validate_marts", "apply_features", "materialize")
MAX_RATIO, MAX_EXPONENT = 1.3, 0.1
LATE_DAYS = 7


def run(rows: int) -> list[Result]:
    """Return the results with `rows` events a day."""
    measured = {days: _measure(rows, days) for days in DAYS}
    processor = {days: sum(stages["next_day"].values()) for days, stages in measured.items()}
    exponent = np.polyfit(np.log(list(processor)), np.log(list(processor.values())), 1)[0]
    for days, stages in measured.items():
        named = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages["next_day"].items())
        print(f"  after {days:>3} days {processor[days]:>7.1f} s of a core: {named}", flush=True)
    last = measured[DAYS[-1]]
    return [
        result_with_limit("scale_day", "of a day", processor[DAYS[-1]] / processor[DAYS[0]], MAX_RATIO),
        result_with_limit("scale_day_exponent", "exponent", float(exponent), MAX_EXPONENT),
        Result.from_values("scale_day_processor", "s", processor[DAYS[-1]]),
        Result.from_values(
            "scale_day_late", "of a build", last["late"]["build_marts"] / last["unchanged"]["build_marts"]
        ),
    ]


def _measure(rows: int, days: int) -> dict[str, dict[str, float]]:
    """Return step ▸ processor seconds of the day after `days` days, of a build of nothing new, and of one with a late event."""
    home = settings.load_settings().home / "scale" / "days" / f"{rows}-{days}"
    file = home.with_suffix(".json")
    if file.exists():
        stored: dict[str, dict[str, float]] = json.loads(file.read_text())
        return stored
    shutil.rmtree(home, ignore_errors=True)
    size = synthetic_log.LogSize(rows * (days + 1), days + 1, has_all_lengths=True)
    synthetic_log.write_landing_zone(home, size)
    events = home / "landing" / "listening_events"
    newest = sorted(events.iterdir())[-1]
    held_back = newest.rename(home / newest.name)
    day = synthetic_log.FIRST_DAY + timedelta(days=days)
    _run_steps(home, str(day), STEPS)
    held_back.rename(newest)
    as_of = str(day + timedelta(days=1))
    measured = {
        "next_day": _run_steps(home, as_of, STEPS),
        "unchanged": _run_steps(home, as_of, ("build_marts",)),
    }
    _write_late_event(newest, day - timedelta(days=min(LATE_DAYS, days)), events)
    measured["late"] = _run_steps(home, as_of, ("build_marts",))
    shutil.rmtree(home)
    file.write_text(json.dumps(measured, indent=1) + "\n")
    return measured


def _run_steps(home: Path, as_of: str, names: tuple[str, ...]) -> dict[str, float]:
    on_this_machine: dict[str, Any] = {"tables_url": "", "online_store": "sqlite", "broker": ""}
    variables = environment(replace(settings.load_settings(), home=home, engine="duckdb", **on_this_machine))
    commands = {step.name: step.command for step in feature_steps(as_of, "small")}
    return {
        name: resource_usage.run(commands[name], variables, home / "logs" / f"{name}.log").processor for name in names
    }


def _write_late_event(newest: Path, day: Any, events: Path) -> None:
    """Land a copy of one event of the newest day, with a new id, in the partition of `day`."""
    row = pq.read_table(next(iter(newest.glob("*.parquet")))).slice(0, 1).to_pylist()[0]
    earlier = timedelta(days=(row["ended_at"].date() - day).days)
    row |= {"event_id": "late", **{name: row[name] - earlier for name in ("occurred_at", "ended_at")}}
    pq.write_table(pa.Table.from_pylist([row], schema=contract.LISTENING_EVENTS), events / f"dt={day}" / "late.parquet")
