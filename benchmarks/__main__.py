"""`python -m benchmarks [--only NAME] [--rows N]`: performance compared with peers, both measured in the same run.

Writes SEGUE_HOME/reports/benchmark.json after each benchmark, so a failing benchmark (a peer that cannot be installed)
loses no other results; running one benchmark replaces its results and keeps the others'. Each result has the machine and
the revision that it was measured on; those of the report are the newest run's.
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

from benchmarks.data import (
    daily_build,
    event_freshness,
    event_streaming,
    landing,
    log_scaling,
    materialization,
    online_store_read,
    point_in_time_join,
)
from benchmarks.result import Result
from benchmarks.serving import (
    page_load,
    parallel_recall,
    ranking_latency,
    ranking_runtimes,
    recall_latency,
    recommend_endpoint,
    release_swap,
    search_latency,
    vector_search,
)
from benchmarks.training import channel_steps, content_encoders, data_wait, epoch_scaling, ranker_steps
from config import settings

RANKERS = ("target_attention", "interest_evolution", "session_domains")
BENCHMARKS: dict[str, tuple[Callable[[int], Result | list[Result]], int]] = {
    "land_events": (landing.run_throughput, 200_000),
    **{f"land_memory_{name}": (partial(landing.run_memory, name), 3_000_000) for name in landing.FORMATS},
    "pit_join": (point_in_time_join.run, 200_000),
    "materialize_sqlite": (materialization.sqlite, 100),
    "materialize_redis": (materialization.redis, 100),
    "online_read": (online_store_read.run, 1_000),
    "event_to_read_p99": (event_freshness.run, 2_000),
    "event_broker": (event_streaming.run, 300_000),
    "training_reads": (data_wait.run, 20),
    "recall_together": (parallel_recall.run, 40),
    "index_search": (vector_search.run, 200_000),
    "recall_50k": (recall_latency.run("recall_50k", "small", 6.0), 50_000),
    "recall_1m": (recall_latency.run("recall_1m", "full", 11.0), 1_000_000),
    "recommend_p50": (recommend_endpoint.run, 300),
    "recommend_1m_p50": (recommend_endpoint.run_1m, 200),
    "page_first_list": (page_load.run, 15),
    "release_swap_failed": (release_swap.run, 60),
    **{f"rank_{name}": (partial(ranking_latency.run, name), 200) for name in RANKERS},
    "search_50k": (search_latency.run("search_50k", 20.0), 50_000),
    "search_1m": (search_latency.run("search_1m", 60.0), 1_000_000),
    "rank_export": (ranking_runtimes.run, 200),
    **{f"train_{name}": (partial(ranker_steps.run, name), 100) for name in RANKERS},
    **{f"train_{name}": (partial(channel_steps.run, name), 60) for name in channel_steps.PEERS},
    "encode_audio": (content_encoders.audio, 200),
    "encode_image": (content_encoders.image, 100),
    "encode_text": (content_encoders.text, 2_000),
    "scale_train_epoch": (epoch_scaling.run, 1_000_000),
    "scale_dbt": (log_scaling.dbt, 10_000_000),
    "scale_features": (log_scaling.features, 10_000_000),
    "scale_spark": (log_scaling.spark, 10_000_000),
    "scale_day": (daily_build.run, 100_000),
}
BENCHMARK_OF_FIGURE = {
    "pit_join_memory": "pit_join",
    "pit_join_2m": "pit_join",
    "pit_join_2m_memory": "pit_join",
    "pit_join_scaling": "pit_join",
    "online_read_sqlite": "online_read",
    "online_read_reader": "online_read",
    "online_read_lists": "online_read",
    "event_to_read_p99_redis": "event_to_read_p99",
    **{f"event_broker_{name}": "event_broker" for name in ("p50", "rate", "drained", "cores")},
    "recall_longest": "recall_together",
    **{
        f"{name}_{figure}": name
        for name in ("recall_50k", "recall_1m")
        for figure in ("processor", "floor", "over_floor")
    },
    "index_build": "index_search",
    "index_found": "index_search",
    "index_search_exact": "index_search",
    **{f"rank_{name}_{figure}": f"rank_{name}" for name in RANKERS for figure in ("core", "floor", "over_floor")},
    **{f"train_{name}_core": f"train_{name}" for name in (*RANKERS, *channel_steps.PEERS)},
    **{
        f"train_{name}_{unit}_per_s": f"train_{name}"
        for name in channel_steps.PEERS
        for unit in ("histories", "positions")
    },
    **{
        f"scale_train_epoch_{name}": "scale_train_epoch"
        for name in ("clock", "memory", "rate", "reading", "peak", "bounded", "bounded_peak")
    },
    "rank_export_export": "rank_export",
    "rank_export_inductor": "rank_export",
    "rank_export_onnxruntime": "rank_export",
    "recommend_20rps_p99": "recommend_p50",
    "recommend_saturation": "recommend_p50",
    "recommend_cpu": "recommend_p50",
    "recommend_80_percent_p99": "recommend_p50",
    "recommend_worker_memory": "recommend_p50",
    **{f"recommend_{figure}_one_process": "recommend_p50" for figure in ("saturation", "cpu")},
    **{f"recommend_p50_{figure}": "recommend_p50" for figure in ("floor", "over_floor")},
    "recommend_client_cpu": "recommend_p50",
    "recommend_outside": "recommend_p50",
    **{f"recommend_store_down_{figure}": "recommend_p50" for figure in ("p99", "events_p99")},
    "recommend_ready": "recommend_p50",
    "page_transfer": "page_first_list",
    "release_swap_mixed": "release_swap_failed",
    "release_swap_of_two": "release_swap_failed",
    "release_swap_changes": "release_swap_failed",
    "release_swap_memory": "release_swap_failed",
    **{f"scale_dbt_{name}": "scale_dbt" for name in ("processor", "memory", "rate", "day")},
    **{f"scale_features_{name}": "scale_features" for name in ("as_of", "memory", "users")},
    **{f"{name}_{figure}": name for name in ("search_50k", "search_1m") for figure in ("p95", "memory", "disk")},
    "scale_spark_memory": "scale_spark",
    **{f"scale_day_{name}": "scale_day" for name in ("exponent", "processor", "late")},
}
"""Results that are measured by the run of another benchmark."""


def main() -> None:
    """Run all benchmarks, one, or those whose names share a prefix."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
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
    """Return the benchmarks that `--only` selects; all for None."""
    name = BENCHMARK_OF_FIGURE.get(only, only) if only else None
    if name is None or name in BENCHMARKS:
        return [name] if name else list(BENCHMARKS)
    return [benchmark for benchmark in BENCHMARKS if benchmark.startswith(f"{name}_")]


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
