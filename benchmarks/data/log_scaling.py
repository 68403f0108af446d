"""Cost of marts and features as the log grows: the pipeline's commands on synthetic landing zones.

Sizes are 1 M, 10 M … up to `rows` events (`make bench ONLY=scale_dbt ROWS=100000000`). Each size has its own home in
`SEGUE_HOME/scale/<engine>/<events>`; its measurements are stored in `measured.json` and not repeated, so an interrupted
run resumes. Delete the folder to measure again. Results:

    scale_dbt                 exponent of the seconds of `dbt build` with all tests against the number of events
    scale_dbt_processor       the same for processor seconds, which other load on the machine affects less
    scale_dbt_memory, _rate   peak memory and events per second of the largest size
    scale_dbt_day             the next day's build as a share of a full build, at the largest size up to 10 M
    scale_features            exponent of materialization
    scale_features_as_of      exponent of point-in-time features, one request per 100 events
    scale_features_memory     the larger peak memory of the two
    scale_spark, _memory      seconds and peak memory of the same build on Spark, whose executors share one JVM of
                              `SEGUE_SPARK_MEMORY`

Only the first materialization of a home is measured, with SQLite; documentation and DAGs are not.
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
STEPS = {step.name: step.command for step in feature_steps(synthetic_log.AS_OF, "small")}


@dataclass(frozen=True)
class ScaleHome:
    """Home of one size and engine, with its measurements by stage (stored in `measured.json`)."""

    folder: Path
    variables: dict[str, str]
    measurements: dict[str, Any]

    @classmethod
    def open(cls, engine: str, events: int) -> ScaleHome:
        """Return the home of `events` on `engine`, with its stored measurements."""
        folder, size = settings.load_settings().home / "scale" / engine / str(events), synthetic_log.LogSize(events)
        folder.mkdir(parents=True, exist_ok=True)
        on_this_machine: dict[str, Any] = {"tables_url": "", "online_store": "sqlite", "broker": ""}
        chosen = replace(settings.load_settings(), home=folder, engine=engine, **on_this_machine)
        known = {"events": events, "users": size.users, "tracks": size.tracks, "stages": {}}
        file = folder / "measured.json"
        return cls(folder, environment(chosen), json.loads(file.read_text()) if file.exists() else known)

    @property
    def events(self) -> int:
        """Number of events of the home."""
        return int(self.measurements["events"])

    @property
    def is_on_duckdb(self) -> bool:
        """Whether the engine is DuckDB (else Spark)."""
        return self.folder.parent.name == "duckdb"

    def measure_stage(self, name: str, command: list[str]) -> None:
        """Run a command of the pipeline and store its resource usage as stage `name`."""
        taken = resource_usage.run(command, self.variables, self.folder / "logs" / f"{name}.log")
        self.measurements["stages"][name] = asdict(taken)
        self.add_measurements(name)

    def add_measurements(self, name: str, **more: Any) -> None:
        """Store further measurements of a stage."""
        self.measurements["stages"][name].update(more)
        (self.folder / "measured.json").write_text(json.dumps(self.measurements, indent=1) + "\n")


def dbt(rows: int) -> list[Result]:
    """Return the results of `dbt build` on DuckDB."""
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
    """Return the results of features over the marts that `dbt` left; build missing marts first."""
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
    """Return the results of one size on Spark."""
    stages = _measure_size("spark", rows, _build_marts)["stages"]
    return [
        Result.from_values("scale_spark", "s", stages["build"]["seconds"]),
        Result.from_values("scale_spark_memory", "GiB", stages["build"]["memory"] / GIB),
    ]


def _event_counts(rows: int) -> list[int]:
    """Return 1 M and its multiples by ten up to `rows`, at least two sizes."""
    sizes = [MIN_EVENTS, 10 * MIN_EVENTS]
    while 10 * sizes[-1] <= rows:
        sizes.append(10 * sizes[-1])
    return [size for size in sizes if size <= rows] if rows >= sizes[1] else [max(1_000, rows // 10), rows]


def _measure_size(
    engine: str, events: int, stages: Callable[[ScaleHome], None], required_stage: str = "validate_marts"
) -> dict[str, Any]:
    """Return the measurements of one size; run `stages` unless `needs` was measured."""
    home = ScaleHome.open(engine, events)
    if required_stage not in home.measurements["stages"]:
        stages(home)
    for name, taken in home.measurements["stages"].items():
        print(_format_stage(engine, events, name, taken), flush=True)
    return home.measurements


def _build_marts(home: ScaleHome) -> None:
    """Build published marts from landed events, then remove intermediate files, which take most of the disk space."""
    warehouse = [home.folder / name for name in ("landing", "spark", "warehouse.duckdb", "warehouse.spill")]
    _remove(*warehouse)
    began = time.perf_counter()
    written = synthetic_log.write_landing_zone(home.folder, synthetic_log.LogSize(home.events))
    print(f"made {written:,} landed events in {time.perf_counter() - began:.0f} s", flush=True)
    newest = sorted((home.folder / "landing" / "listening_events").iterdir())[-1]
    has_next_day = home.events <= MAX_NEXT_DAY_EVENTS and home.is_on_duckdb
    if has_next_day:
        newest = newest.rename(home.folder / newest.name)
    home.measure_stage("build", STEPS["build_marts"])
    disk = sum(path.stat().st_size for path in home.folder.glob("warehouse.duckdb*"))
    home.add_measurements("build", models=_dbt_node_seconds(home.folder), warehouse=disk)
    home.measure_stage("publish", STEPS["publish_marts"])
    if has_next_day:
        newest.rename(home.folder / "landing" / "listening_events" / newest.name)
        home.measure_stage("build_next_day", STEPS["build_marts"])
    home.add_measurements(
        "publish", marts=sum(path.stat().st_size for path in (home.folder / "marts").glob("*.parquet"))
    )
    for stage_name in ("validate_landed", "validate_marts"):
        home.measure_stage(stage_name, STEPS[stage_name])
    _remove(*warehouse)


def _dbt_node_seconds(home: Path) -> dict[str, float]:
    """Return the seconds of each dbt node in its last run."""
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
    """Return the least-squares slope of log seconds over log events."""
    events, taken = zip(*((size["events"], size["stages"][name][what]) for size in sizes), strict=True)
    return float(np.polyfit(np.log(events), np.log(taken), 1)[0])


def _print_slowest_nodes(sizes: list[dict[str, Any]]) -> None:
    """Print the slowest nodes at the largest size, each with its exponent from the previous size."""
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
    """Read a feature service for point-in-time requests, in chunks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    options = parser.parse_args()
    from sequences.feast_store import local_marts_folder, open_store

    count = int(os.environ["SEGUE_HOME"].rsplit("/", 1)[-1]) // EVENTS_PER_REQUEST
    entities = duckdb.sql(f"""
        select user_id, request_at as event_timestamp
        from (from '{local_marts_folder()}/plays.parquet' select user_id, request_at using sample reservoir({count} rows) repeatable (0))
        order by all
    """).df()
    entities["event_timestamp"] = entities["event_timestamp"].dt.tz_localize("UTC")
    store = open_store()
    answer: Any = store.get_historical_features(
        entities, store.get_feature_service(options.service), full_feature_names=True
    )
    print(sum(piece.num_rows for piece in answer.to_batches()))


if __name__ == "__main__":
    main()
