"""Search quality on simulated catalogs: precision@10 by kind of query, against the former search by words.

Reads the marts of a simulated world with the size and seed in `queries.json` (the defaults of `make simulate`). Precision is
the share of relevant tracks among the first ten, missing results counting as not relevant; intervals are 95 % bootstrap
intervals over queries. The peer finds the tracks that have every word of the query in the title or an artist's name.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from training.benchmarks.search.queries import EvaluationQuery, read_queries
from training.content.shared_text_encoder import encode_texts, text_encoder_version
from training.evaluation.metrics import bootstrap
from training.search.release_tracks import add_album_titles
from training.search.track_search import TrackSearch
from training.search.write_search import write_search

K = 10
ALL = "all"

Search = Callable[[str], list[int]]
"""From a query to at most K items."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--marts", type=Path, required=True, help="folder with tracks.parquet and albums.parquet")
    parser.add_argument(
        "--queries", choices=("queries", "development_queries"), default="queries", help="file of queries"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return the precision of both searches by kind of query, with intervals.

    Raises:
        FileNotFoundError: There is no mart `tracks` in the folder.
    """
    path = options.marts / "tracks.parquet"
    if not path.exists():
        raise FileNotFoundError(f"no {path}; simulate a world and run the pipeline first: `make simulate run`")
    tracks = add_album_titles(pl.read_parquet(path), options.marts).with_columns(item=pl.int_range(pl.len()))
    newest = tracks["released_on"].max()
    result = evaluate(tracks, newest if isinstance(newest, date) else date.today(), read_queries(options.queries))
    print(format_table(result))
    return result


def evaluate(tracks: pl.DataFrame, today: date, queries: Sequence[EvaluationQuery]) -> dict[str, Any]:
    """Precision@K by group of queries: a kind, a language, a kind in a language, or all.

    Args:
        tracks: The catalog, with the columns of `build_index`.
        today: The day of the search.
        queries: The queries.
    """
    row_of = {row["item"]: row for row in tracks.iter_rows(named=True)}
    with tempfile.TemporaryDirectory(prefix="segue-search-") as folder:
        write_search(tracks, Path(folder) / "search", encode_texts, text_encoder_version())
        index = TrackSearch.load(Path(folder) / "search", encode_texts, text_encoder_version())
        found = _precisions(lambda query: [match.item for match in index.search(query, K, today)], queries, row_of)
        peer = _precisions(lambda query: _search_words(query, row_of), queries, row_of)
    groups = {ALL: np.ones(len(queries), dtype=bool)}
    for query in queries:
        for name in (query.kind, query.language, f"{query.kind} {query.language}"):
            groups.setdefault(name, np.array([name in _groups(other) for other in queries]))
    return {
        "k": K,
        "precision": {name: _summary(found[members], peer[members]) for name, members in groups.items()},
        "misses": {query.text: float(value) for query, value in zip(queries, found, strict=True) if value < 1},
    }


def format_table(result: Mapping[str, Any]) -> str:
    """A Markdown table of `evaluate`."""
    lines = [
        f"| queries | number | precision@{result['k']} | search by words | difference |",
        "|---|---|---|---|---|",
    ]
    for name, row in result["precision"].items():
        cells = (_interval(row[key]) for key in ("search", "words", "difference"))
        lines.append(f"| {name} | {row['queries']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _groups(query: EvaluationQuery) -> tuple[str, ...]:
    return query.kind, query.language, f"{query.kind} {query.language}"


def _summary(found_Q: np.ndarray, peer_Q: np.ndarray) -> dict[str, Any]:
    search, words = bootstrap.mean(found_Q), bootstrap.mean(peer_Q)
    return {
        "queries": len(found_Q),
        "search": search.interval(),
        "words": words.interval(),
        "difference": (search - words).interval(),
    }


def _precisions(
    search: Search, queries: Sequence[EvaluationQuery], row_of: Mapping[int, Mapping[str, Any]]
) -> np.ndarray:
    return np.array(
        [sum(query.is_relevant(row_of[item]) for item in search(query.text)[:K]) / K for query in queries], dtype=float
    )


def _search_words(query: str, row_of: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """The first tracks that have every word of the query in the title or an artist's name."""
    words = query.casefold().split()
    items = []
    for item, row in row_of.items():
        text = " ".join([row["title"] or "", *(row["artist_names"] or [])]).casefold()
        if all(word in text for word in words):
            items.append(item)
    return items[:K]
