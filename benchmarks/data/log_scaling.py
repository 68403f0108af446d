"""What marts and features cost as the log grows tenfold and tenfold again: the line's own commands on made landing zones.

Sizes are 1 M, 10 M … up to `rows` events (`make bench ONLY=scale_dbt ROWS=100000000`). Each has a home of its own in
`SEGUE_HOME/scale/<engine>/<events>`; what was measured there is in `measured.json` and is not measured again, so a run
that was cut off goes on where it was. Delete the folder to measure anew. Figures:

    scale_dbt                 exponent with which the seconds of `dbt build` with all its tests grow with events
    scale_dbt_processor       the same of processor seconds, which other work on the machine disturbs less
    scale_dbt_memory, _rate   most memory of the largest size; events a second of it
    scale_dbt_day             share of a whole build that the next day's build takes, at the largest size up to 10 M
    scale_features            exponent of materialisation
    scale_features_as_of      exponent of point-in-time features, a request for each 100 events
    scale_features_memory     the larger of the two
    scale_spark, _memory      seconds and most memory of the same build on Spark, whose executors share one JVM of `SEGUE_SPARK_MEMORY`

The first materialisation of a home is measured, with SQLite; `document` and the DAGs are not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.data import resource_usage, synthetic_log
from benchmarks.result import Result, result_with_limit
from config import settings
from local.environment import environment
from local.pipeline import feature_steps

MIN_EVENTS, MAX_NEXT_DAY_EVENTS = 1_000_000, 10_000_000
GIB = 2**30
MEMORY_LIMIT_GIB = 20
EVENTS_PER_REQUEST = 100
SERVICE = "target_attention"
STEPS = {step.name: step.command for step in feature_steps(synthetic_log.AS_OF)}

# Unit tests take the same few seconds whatever has landed.
BUILD_COMMAND = [*STEPS["build_marts"], "--exclude-resource-type", "unit_test"]


@dataclass(frozen=True)
class ScaleHome:
    """A home of one size and engine; `known` is what was measured in it, kept in `measured.json` stage by stage."""

    folder: Path
    variables: dict[str, str]
    measurements: dict[str, Any]

    @classmethod
    def open(cls, engine: str, events: int) -> ScaleHome:
        """The home of `events` on `engine`, with what is known already."""
        folder, size = settings.load_settings().home / "scale" / engine / str(events), synthetic_log.LogSize(events)
        folder.mkdir(parents=True, exist_ok=True)
        on_this_machine: dict[str, Any] = {"tables_url": "", "online_store": "sqlite", "broker": ""}
        chosen = replace(settings.load_settings(), home=folder, engine=engine, **on_this_machine)
        known = {"events": events, "users": size.users, "tracks": size.tracks, "stages": {}}
        file = folder / "measured.json"
        return cls(folder, environment(chosen), json.loads(file.read_text()) if file.exists() else known)

    @property
    def events(self) -> int:
        """How many it was made for."""
        return int(self.measurements["events"])

    @property
    def is_on_duckdb(self) -> bool:
        """The engine."""
        return self.folder.parent.name == "duckdb"

    def measure_stage(self, name: str, command: list[str]) -> None:
        """Measures a command of the line as the stage `name`."""
        taken = resource_usage.run(command, self.variables, self.folder / "logs" / f"{name}.log")
        self.measurements["stages"][name] = asdict(taken)
        self.add_measurements(name)

    def add_measurements(self, name: str, **more: Any) -> None:
        """Something more about a stage."""
        self.measurements["stages"][name].update(more)
        (self.folder / "measured.json").write_text(json.dumps(self.measurements, indent=1) + "\n")


def dbt(rows: int) -> list[Result]:
    """Figures of `dbt build` on DuckDB."""
    sizes = [_measure_size("duckdb", events, _build_marts) for events in _event_counts(rows)]
    last, stages = sizes[-1]["events"], sizes[-1]["stages"]["build"]
    daily = [size["stages"] for size in sizes if "build_next_day" in size["stages"]][-1]
    _print_slowest_nodes(sizes)
    return [
        result_with_limit("scale_dbt", "exponent", _growth_exponent(sizes, "build", "seconds"), 1.1),
        result_with_limit("scale_dbt_processor", "exponent", _growth_exponent(sizes, "build", "processor"), 1.1),
        result_with_limit("scale_dbt_memory", "GiB", stages["memory"] / GIB, MEMORY_LIMIT_GIB),
        Result.from_values("scale_dbt_rate", "events/s", last / stages["seconds"]),
        Result.from_values(
            "scale_dbt_day", "of a build", daily["build_next_day"]["processor"] / daily["build"]["processor"]
        ),
    ]


def features(rows: int) -> list[Result]:
    """Figures of features over the marts that `dbt` left; builds them where they are not there."""
    for events in _event_counts(rows):
        _measure_size("duckdb", events, _build_marts)
    sizes = [
        _measure_size("duckdb", events, _materialize_features, required_stage="as_of") for events in _event_counts(rows)
    ]
    stages = sizes[-1]["stages"]
    memory = max(stages[name]["memory"] for name in ("materialize", "as_of"))
    return [
        result_with_limit("scale_features", "exponent", _growth_exponent(sizes, "materialize", "processor"), 1.1),
        result_with_limit("scale_features_as_of", "exponent", _growth_exponent(sizes, "as_of", "processor"), 1.1),
        result_with_limit("scale_features_memory", "GiB", memory / GIB, MEMORY_LIMIT_GIB),
        Result.from_values("scale_features_users", "users/s", sizes[-1]["users"] / stages["materialize"]["seconds"]),
    ]


def spark(rows: int) -> list[Result]:
    """Figures of one size on Spark."""
    stages = _measure_size("spark", rows, _build_marts)["stages"]
    return [
        Result.from_values("scale_spark", "s", stages["build"]["seconds"]),
        Result.from_values("scale_spark_memory", "GiB", stages["build"]["memory"] / GIB),
    ]


def _event_counts(rows: int) -> list[int]:
    """1 M and tenfold as often as `rows` allows; two at least, or there is nothing to compare."""
    sizes = [MIN_EVENTS, 10 * MIN_EVENTS]
    while 10 * sizes[-1] <= rows:
        sizes.append(10 * sizes[-1])
    return [size for size in sizes if size <= rows] if rows >= sizes[1] else [max(1_000, rows // 10), rows]


def _measure_size(
    engine: str, events: int, stages: Callable[[ScaleHome], None], required_stage: str = "validate_marts"
) -> dict[str, Any]:
    """What is known of one size; `stages` are run if `needs` is not."""
    home = ScaleHome.open(engine, events)
    if required_stage not in home.measurements["stages"]:
        stages(home)
    for name, taken in home.measurements["stages"].items():
        print(_format_stage(engine, events, name, taken), flush=True)
    return home.measurements


def _build_marts(home: ScaleHome) -> None:
    """Landed events to marts that passed. What only the build needs is removed afterwards: it is most of the disk."""
    warehouse = [home.folder / name for name in ("landing", "spark", "warehouse.duckdb", "warehouse.spill")]
    _remove(*warehouse)
    began = time.perf_counter()
    written = synthetic_log.write_landing_zone(home.folder, synthetic_log.LogSize(home.events))
    print(f"made {written:,} landed events in {time.perf_counter() - began:.0f} s", flush=True)
    newest = sorted((home.folder / "landing" / "listening_events").iterdir())[-1]
    has_next_day = home.events <= MAX_NEXT_DAY_EVENTS and home.is_on_duckdb
    if has_next_day:
        newest = newest.rename(home.folder / newest.name)
    home.measure_stage("build", BUILD_COMMAND)
    disk = sum(path.stat().st_size for path in home.folder.glob("warehouse.duckdb*"))
    home.add_measurements("build", models=_dbt_node_seconds(home.folder), warehouse=disk)
    home.measure_stage("publish", STEPS["publish_marts"])
    if has_next_day:
        newest.rename(home.folder / "landing" / "listening_events" / newest.name)
        home.measure_stage("build_next_day", BUILD_COMMAND)
    home.add_measurements(
        "publish", marts=sum(path.stat().st_size for path in (home.folder / "marts").glob("*.parquet"))
    )
    for stage_name in ("validate_landed", "validate_marts"):
        home.measure_stage(stage_name, STEPS[stage_name])
    _remove(*warehouse)


def _dbt_node_seconds(home: Path) -> dict[str, float]:
    """Node of dbt ▸ seconds of its last run."""
    results = json.loads((home / "dbt" / "target" / "run_results.json").read_text())["results"]
    return {result["unique_id"].split(".", 1)[1]: round(result["execution_time"], 3) for result in results}


def _materialize_features(home: ScaleHome) -> None:
    online = home.folder / "feast"
    _remove(online)
    home.measure_stage("apply", STEPS["apply_features"])
    home.measure_stage("materialize", STEPS["materialize"])
    home.add_measurements("materialize", online=sum(path.stat().st_size for path in online.glob("online.db*")))
    home.measure_stage("materialize_unchanged", STEPS["materialize"])
    home.measure_stage("as_of", [sys.executable, "-m", "benchmarks.data.log_scaling", SERVICE])
    _remove(online)


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _growth_exponent(sizes: list[dict[str, Any]], name: str, what: str) -> float:
    """The slope of log time over log events, least squares."""
    events, taken = zip(*((size["events"], size["stages"][name][what]) for size in sizes), strict=True)
    return float(np.polyfit(np.log(events), np.log(taken), 1)[0])


def _print_slowest_nodes(sizes: list[dict[str, Any]]) -> None:
    """The nodes that take longest at the largest size, each with its own exponent from the size before."""
    before, last = (size["stages"]["build"]["models"] for size in sizes[-2:])
    apart = np.log(sizes[-1]["events"] / sizes[-2]["events"])
    for node in sorted(last, key=last.__getitem__, reverse=True)[:15]:
        exponent = np.log(last[node] / max(before.get(node, last[node]), 1e-3)) / apart
        print(f"  {node:<70} {last[node]:>8.1f} s  exponent {exponent:.2f}", flush=True)


def _format_stage(engine: str, events: int, name: str, taken: dict[str, Any]) -> str:
    size, memory = f"{engine} {events / 1e6:g} M", taken["memory"] / GIB
    return (
        f"  {size:<14} {name:<22} {taken['seconds']:>9.1f} s {taken['processor']:>9.1f} s of a core {memory:>6.2f} GiB"
    )


def main() -> None:
    """Ask the home's store for a feature service as of some requests, piece by piece."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    options = parser.parse_args()
    from sequences.feast_store import local_marts_folder, open_store

    count = int(os.environ["SEGUE_HOME"].rsplit("/", 1)[-1]) // EVENTS_PER_REQUEST
    asked = duckdb.sql(f"""
        select user_id, request_at as event_timestamp
        from (from '{local_marts_folder()}/plays.parquet' select user_id, request_at using sample reservoir({count} rows) repeatable (0))
        order by all
    """).df()
    asked["event_timestamp"] = asked["event_timestamp"].dt.tz_localize("UTC")
    store = open_store()
    answer: Any = store.get_historical_features(
        asked, store.get_feature_service(options.service), full_feature_names=True
    )
    print(sum(piece.num_rows for piece in answer.to_batches()))


if __name__ == "__main__":
    main()
