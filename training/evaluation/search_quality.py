"""Search quality: precision@10 by kind of query.

`measure_catalog` is the chapter of the evaluation report on any catalog. Precision is the number of relevant tracks among the
first ten, divided by ten or by the number of relevant tracks of the catalog if that is smaller; missing results count as not
relevant. Intervals are 95 % bootstrap intervals over queries.

Queries are in `search/`, with the tracks that are relevant for them as conditions on the catalog. `queries.json` was written
before any search was run on it, and `facet_queries.json` (negation, opposites, several languages, style and scene) and
`language_queries.json` (seven languages) before the search was changed for such queries; `development_queries.json` is for
the development of methods.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from content.encoders.text import encode_texts, text_encoder_version
from recommender.search.track_search import TrackSearch
from recommender.search.write_search import write_search
from training.data.search_tracks import collect_tracks
from training.data.training_data import TrainingData
from training.evaluation.metrics import bootstrap

FOLDER = Path(__file__).parent / "search"
QUERY_FILES = ("queries", "facet_queries", "language_queries", "development_queries")
NUMBER_SEPARATOR = " No. "
"""Between a title of the simulation and the number that distinguishes it from equal ones."""

K = 10
ALL = "all"
MAX_TRACKS = 20_000
"""The most played tracks that the evaluation report searches; `make bench` measures larger catalogs."""


@dataclass(frozen=True)
class EvaluationQuery:
    """A query and the conditions that a relevant track meets, all of them."""

    text: str
    language: str  # of its words: en, zh, de, es, fr, ja or ko
    kind: str  # for instance mood, scene or negation
    conditions: tuple[Mapping[str, Any], ...]

    def is_relevant(self, track: Mapping[str, Any]) -> bool:
        """Whether a row of the catalog, with the columns of `build_index`, is relevant."""
        return all(_meets(track, condition) for condition in self.conditions)


def read_queries(name: str = "queries") -> list[EvaluationQuery]:
    """The queries of a file of FOLDER."""
    rows = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["queries"]
    return [EvaluationQuery(row["query"], row["language"], row["kind"], tuple(row["relevant"])) for row in rows]


def _meets(track: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    if "facet" in condition:
        values = set(track.get(condition["facet"]) or [])
        return (
            values.isdisjoint(condition["none_of"])
            if "none_of" in condition
            else not values.isdisjoint(condition["any_of"])
        )
    if "title" in condition:
        return bool(str(track.get("title")).split(NUMBER_SEPARATOR)[0] == condition["title"])
    if "artist" in condition:
        return bool(condition["artist"] in (track.get("artist_names") or []))
    released = str(track.get("released_on"))
    return bool(condition.get("released_from", "") <= released <= condition.get("released_until", "9999"))


def measure_catalog(data: TrainingData) -> dict[str, Any] | None:
    """Section `search` of `evaluation.json`; None if no track may be recommended.

    Returns:
        `evaluate` over at most MAX_TRACKS tracks with the queries that have at least K relevant tracks among them, and
        the numbers of `tracks`, `queries` and `queries_without_tracks`.
    """
    tracks = collect_tracks(data).head(MAX_TRACKS)
    if not len(tracks):
        return None
    every, rows = read_queries(), tracks.to_dicts()
    # With K relevant tracks, a precision of 1 is possible.
    queries = [query for query in every if sum(map(query.is_relevant, rows)) >= K]
    newest = tracks["released_on"].max() if "released_on" in tracks.columns else None
    counts = {"tracks": len(tracks), "queries": len(queries), "queries_without_tracks": len(every) - len(queries)}
    return counts | evaluate(tracks, newest if isinstance(newest, date) else date.today(), queries)


def evaluate(tracks: pl.DataFrame, today: date, queries: Sequence[EvaluationQuery]) -> dict[str, Any]:
    """Quality of the search over a catalog.

    Args:
        tracks: The catalog, with the columns of `build_index`.
        today: The day of the search.
        queries: The queries.

    Returns:
        `precision` at K by group of queries (a kind, a language, a kind in a language, or all), and `misses` with the
        precision of the queries below 1.
    """
    rows = list(tracks.iter_rows(named=True))
    relevant = [{row["item"] for row in rows if query.is_relevant(row)} for query in queries]
    with tempfile.TemporaryDirectory(prefix="segue-search-") as folder:
        write_search(tracks, Path(folder) / "search", encode_texts, text_encoder_version())
        index = TrackSearch.load(Path(folder) / "search", encode_texts, text_encoder_version())
        found = [{match.item for match in index.search(query.text, K, today)} for query in queries]
    found_Q = np.array(
        [len(one & items) / max(min(len(items), K), 1) for one, items in zip(found, relevant, strict=True)]
    )
    groups = {ALL: np.ones(len(queries), dtype=bool)}
    for query in queries:
        for name in _groups(query):
            groups.setdefault(name, np.array([name in _groups(other) for other in queries]))
    return {
        "k": K,
        "precision": {
            name: {"queries": int(members.sum()), "search": bootstrap.mean(found_Q[members]).interval()}
            for name, members in groups.items()
        },
        "misses": {query.text: float(value) for query, value in zip(queries, found_Q, strict=True) if value < 1},
    }


def _groups(query: EvaluationQuery) -> tuple[str, ...]:
    return query.kind, query.language, f"{query.kind} {query.language}"
