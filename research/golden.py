"""`python -m research.golden [--recipe NAME]`: checks that marts, evaluation and responses are what they were.

Runs the pipeline of the simulated world in a new home, SEGUE_HOME/golden/RECIPE, with a fixed last day, and computes 400 responses
at the end of the simulated time. The result is compared with SEGUE_HOME/golden/RECIPE.json, or stored there if there is none; a
different one is in RECIPE.new.json. Exit code 1: they differ, or the pipeline failed. Numbers are compared to 9 significant digits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb

from config import settings
from config.tool_environment import tool_environment

LAST_DAY = datetime(2026, 6, 30, tzinfo=UTC)
NOW_US = int((LAST_DAY + timedelta(days=1)).timestamp()) * 1_000_000
CHOSEN_FILES = ("evaluation", "choice", "fusion", "blend", "continuation")
MARTS_OF_THIS_RUN = ("landings",)
"""Marts with times of the run."""
VARYING = {"seconds", "peak_mb", "request_id", "release"}
"""Keys whose values differ between runs of equal code."""
USERS, TRACKS, PATHS, PLAYLISTS, QUERIES = 54, 24, 20, 20, 52
SHOWN_DIFFERENCES = 5
HASHES = """
select count(*)::varchar as "number of rows", sum(md5_number_lower(stripped(rows::varchar)))::varchar as "all columns",
    sum(md5_number_lower(coalesce(stripped(columns(*)::varchar), 'null')))::varchar from read_parquet($files) as rows
"""
"""Sums of hashes, so the order of rows and the encoding of the files do not matter."""
STRIPPED = "create macro stripped(value) as regexp_replace(value, '[0-9a-f]{16}:media/', 'media/', 'g')"
"""Removes the id of a media folder, which depends on the path of the home."""


def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline and compare its output with the stored one."""
    parser = argparse.ArgumentParser(prog="python -m research.golden", description=__doc__)
    parser.add_argument("--recipe", default="small", help="recipe of the models and size of the simulated world")
    recipe = parser.parse_args(arguments).recipe
    folder = settings.load_settings().home / "golden"
    stored, new = folder / f"{recipe}.json", folder / f"{recipe}.new.json"
    home = run_pipeline(folder / recipe, recipe)
    result = {"marts": hash_marts(home.marts)}
    for name in CHOSEN_FILES:
        path = next(home.training.glob(f"*-{recipe}/evaluation/{name}.json"))
        result[name] = comparable(json.loads(path.read_text()))
    result["responses"] = compute_responses(home)
    is_first = not stored.exists()
    (stored if is_first else new).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if is_first:
        print(f"stored {len(result['responses'])} responses and {len(result['marts'])} marts in {stored}")
        return 0
    return print_differences(json.loads(stored.read_text()), json.loads(new.read_text()), new)


def run_pipeline(folder: Path, recipe: str) -> settings.Settings:
    """Settings of a new home in which the pipeline has run.

    Raises:
        CalledProcessError: The pipeline failed, and has printed the reason.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.environ |= {"SEGUE_HOME": str(folder), "SEGUE_SIMULATED_LAST_DAY": LAST_DAY.date().isoformat()}
    subprocess.run([sys.executable, "-m", "local.pipeline", "--recipe", recipe], cwd=settings.ROOT, check=True)
    return settings.load_settings()


def hash_marts(marts: Path) -> dict[str, Any]:
    """Mart → number of rows, hash of the rows, and column → hash of its values."""
    hashes = {}
    for path in sorted(marts.glob("*.parquet")):
        files = str(path / "**/*.parquet") if path.is_dir() else str(path)
        if path.stem not in MARTS_OF_THIS_RUN:
            with duckdb.connect() as connection:
                connection.execute(STRIPPED)
                [row] = connection.execute(HASHES, {"files": files}).to_arrow_table().to_pylist()
            hashes[path.stem] = row
    return hashes


def compute_responses(home: settings.Settings) -> dict[str, Any]:
    """Request → body of its response without ids and times, or the error."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | tool_environment(home)
    # Imported late, because numeric libraries and BentoML read the environment when they are imported.
    from prometheus_client import CollectorRegistry

    from serving.batch.export import open_runtime
    from serving.observability.metrics import Metrics

    runtime = open_runtime(home, Metrics(CollectorRegistry()))
    bodies: dict[str, Any] = {}
    try:
        with mock.patch("serving.runtime.now_us", lambda: NOW_US):
            for name, respond in list_requests(runtime, home.marts):
                try:
                    bodies[name] = comparable(respond(f"{len(bodies):032x}"))
                except (ValueError, LookupError) as error:  # which the service answers with a status of 4xx
                    bodies[name] = {"error": f"{type(error).__name__}: {error}"}
    finally:
        runtime.close()
    return bodies


def list_requests(runtime: Any, marts: Path) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """The requests, each with a function from its id to the body of the response."""
    from recommender.slate.scene_settings import SCENES
    from serving.pipeline.request import read_path, read_request, read_similar
    from serving.response_rendering import render_recommendation, render_search
    from training.evaluation.search_quality import QUERY_FILES, read_queries

    def body(read: Callable[..., Any], id: str) -> dict[str, Any]:
        return render_recommendation(runtime.compute(read(now_us=NOW_US, request_id=id)), "en", False).model_dump(
            mode="json"
        )

    def found(query: str, user: str | None, _: str) -> dict[str, Any]:
        return render_search(runtime.search(query, 20, user), "en").model_dump(mode="json")

    users = ["unknown", *sample(marts, "plays", "user_id", USERS - 1)]
    tracks, titles = sample(marts, "plays", "track_id", 4 * TRACKS), sample(marts, "playlists", "title", PLAYLISTS)
    for index, user in enumerate(users):
        for scene in SCENES:
            discovery = (None, None, 0.0, 0.25, 1.0)[index % 5] if scene in ("daily", "private_fm") else None
            read = partial(read_request, user, scene, None, discovery=discovery, is_explicit_wanted=index % 3 != 1)
            yield f"{scene} {user} {discovery}", partial(body, read)
    for index, track in enumerate(tracks[:TRACKS]):
        for someone in (None, users[index]):
            yield f"similar {track} {someone}", partial(body, partial(read_similar, track, None, someone))
    for index in range(PATHS):
        someone, (first, last) = users[index] if index % 2 else None, tracks[TRACKS + 2 * index :][:2]
        yield f"path {first} {last} {someone}", partial(body, partial(read_path, first, last, 3 + index % 10, someone))
    for index, title in enumerate(titles):
        someone, seeds = users[index] if index % 2 else None, tracks[index : index + 1 + index % 4]
        for given in ({"seeds": seeds}, {"title": title}, {"seeds": seeds, "title": title, "exclude": tracks}):
            read = partial(read_request, someone, "daily", None, **given)
            yield f"continuation {index} of {', '.join(given)}", partial(body, read)
    queries = [query.text for name in QUERY_FILES for query in read_queries(name)]
    for index, query in enumerate(["", *islice(queries, 0, None, len(queries) // (QUERIES - 1))][:QUERIES]):
        someone = users[index % len(users)] if index % 2 else None
        yield f"search {query!r} {someone}", partial(found, query, someone)


def sample(marts: Path, mart: str, column: str, size: int) -> list[str]:
    """At most `size` distinct values of a column, in the order of their hashes."""
    query = f"select distinct {column} from read_parquet($file) where {column} is not null order by md5({column})"
    with duckdb.connect() as connection:
        return [
            value for (value,) in connection.execute(query, {"file": str(marts / f"{mart}.parquet")}).fetchmany(size)
        ]


def comparable(value: Any) -> Any:
    """The value without what varies, with rounded numbers."""
    if isinstance(value, dict):
        return {key: comparable(one) for key, one in value.items() if key not in VARYING}
    if isinstance(value, list | tuple):
        return [comparable(one) for one in value]
    return f"{value + 0.0:.9g}" if isinstance(value, float) else value  # the sum makes -0 0


def find_differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths of all differences with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            yield from find_differences(before.get(key, "missing"), after.get(key, "missing"), f"{path} / {key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from find_differences(*pair, f"{path} / {index}")
    elif before != after:
        yield f"{path[3:]}: {str(before)[:200]} -> {str(after)[:200]}"


def print_differences(before: dict[str, Any], after: dict[str, Any], file: Path) -> int:
    """Print for each part what differs; return 1 if anything does."""
    parts = {name: list(find_differences(before[name], after[name])) for name in before}
    for name, lines in parts.items():
        print(f"{name}: {f'{len(lines)} differences' if lines else 'equal'}")
        print(*(f"  {line}\n" for line in lines[:SHOWN_DIFFERENCES]), sep="", end="")
    if any(parts.values()):
        print(f"the new values are in {file}; to keep them, replace the stored file")
    return int(any(parts.values()))


if __name__ == "__main__":
    sys.exit(main())
