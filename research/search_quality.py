"""`python -m research.search_quality --marts FOLDER`: precision of the search on the queries of the evaluation, as a table.

The conditions of the queries belong to a simulated world with the size and seed in `queries.json` (the defaults of
`make simulate`); see `training.evaluation.search_quality`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from training.data.search_tracks import add_album_titles
from training.evaluation.search_quality import QUERY_FILES, evaluate, read_queries


def main() -> None:
    """Print the precision of the search by kind of query, with intervals."""
    parser = argparse.ArgumentParser(prog="python -m research.search_quality", description=__doc__)
    parser.add_argument("--marts", type=Path, required=True, help="folder with tracks.parquet and albums.parquet")
    parser.add_argument("--queries", choices=QUERY_FILES, default=QUERY_FILES[0], help="file of queries")
    options = parser.parse_args()
    path = options.marts / "tracks.parquet"
    if not path.exists():
        parser.error(f"no {path}; run the pipeline first: `make run`")
    tracks = add_album_titles(pl.read_parquet(path), options.marts).with_columns(item=pl.int_range(pl.len()))
    newest = tracks["released_on"].max()
    today = newest if isinstance(newest, date) else date.today()
    print(format_table(evaluate(tracks, today, read_queries(options.queries))))


def format_table(result: Mapping[str, Any]) -> str:
    """A Markdown table of `evaluate`."""
    lines = [
        f"| queries | number | precision@{result['k']} |",
        "|---|---|---|",
    ]
    for name, row in result["precision"].items():
        lines.append(f"| {name} | {row['queries']} | {_interval(row['search'])} |")
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
