"""`python -m research.bench [--only NAME] [--rows N]`: speed, compared with limits, floors and peers of the same run.

Writes SEGUE_HOME/reports/benchmark.json after each benchmark, so a failing benchmark
loses no other results; running one benchmark replaces its results and keeps the others'. Each result has the machine and
the revision that it was measured on; the report has the newest run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from config import settings
from research import training_rates
from research.data import event_commits, landing, materialization, online_store_read, point_in_time_join
from research.result import Result
from research.serving import evening, page_load, ranking_latency, recall_latency, recommend_endpoint, search_latency

BENCHMARKS: dict[str, tuple[Callable[[int], Result | list[Result]], int]] = {
    "land_events": (landing.run_throughput, 200_000),
    **{f"land_memory_{name}": (partial(landing.run_memory, name), 3_000_000) for name in landing.FORMATS},
    "pit_join": (point_in_time_join.run, 200_000),
    "materialize_sqlite": (materialization.sqlite, 100),
    "materialize_redis": (materialization.redis, 100),
    "online_read": (online_store_read.run, 1_000),
    "recall_50k": (recall_latency.run("recall_50k", "small", 6.0), 50_000),
    "recall_1m": (recall_latency.run("recall_1m", "full", 11.0), 1_000_000),
    "recommend_p50": (recommend_endpoint.run, 300),
    "recommend_1m_p50": (recommend_endpoint.run_1m, 200),
    "event_commits": (event_commits.run, 1_000),
    "evening": (evening.run, 50),
    "page_first_list": (page_load.run, 15),
    **{f"rank_{name}": (partial(ranking_latency.run, name), 200) for name in ranking_latency.LIMITS_MS},
    "search_50k": (search_latency.run("search_50k", 20.0), 50_000),
    "search_1m": (search_latency.run("search_1m", 60.0), 1_000_000),
    **{f"train_{name}": (partial(training_rates.run, name), 60) for name in training_rates.UNITS},
}
"""Name → function of a size, and its default size."""


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m research.bench", description=__doc__)
    parser.add_argument(
        "--only", default=None, help="a benchmark, one of its results, or a prefix of names: scale, rank"
    )
    parser.add_argument("--rows", type=int, default=None, help="size; each benchmark has its own default")
    options = parser.parse_args()
    names = select_benchmarks(options.only)
    if not names:
        parser.error(f"there is no benchmark {options.only!r}; choose one of {', '.join(BENCHMARKS)}")
    path = settings.load_settings().reports / "benchmark.json"
    results, origin = _read_results(path), _describe_origin()
    for name in names:
        work, size = BENCHMARKS[name]
        measured = work(options.rows or size)
        for result in measured if isinstance(measured, list) else [measured]:
            results[result.name] = asdict(result) | origin
            print(_format_result(result), flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(origin | {"results": list(results.values())}, indent=1) + "\n")
    print(f"written to {path}")


def select_benchmarks(only: str | None) -> list[str]:
    """Names of the benchmarks that `--only` selects: all for None, else by name, result or prefix."""
    return [
        name
        for name in BENCHMARKS
        if only is None or only == name or only.startswith(f"{name}_") or name.startswith(f"{only}_")
    ]


def _read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Name → result of earlier runs; in reports of earlier versions, only the report has a machine and a revision."""
    if not path.exists():
        return {}
    report = json.loads(path.read_text())
    origin = {key: report[key] for key in ("machine", "revision")}
    return {row["name"]: origin | row for row in report["results"]}


def _describe_origin() -> dict[str, str]:
    """The machine and the revision that this run measures."""
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=settings.ROOT, capture_output=True, text=True, check=False
    )
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"machine": machine, "revision": revision.stdout.strip()}


def _format_result(result: Result) -> str:
    comparison = (
        f"{result.peer}: {result.peer_value:,.4g}  (ratio {result.ratio:.2f})" if result.ratio is not None else ""
    )
    return f"{result.name:<20} {result.value:>14,.4g} {result.unit:<14} {comparison}"


if __name__ == "__main__":
    main()
