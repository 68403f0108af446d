"""Search quality: precision@10 by kind of query, and misspelled titles.

`measure_catalog` is the chapter of the evaluation report on any catalog. Precision is the number of relevant tracks among the
first ten, divided by ten or by the number of relevant tracks of the catalog if that is smaller; missing results count as not
relevant. Intervals are 95 % bootstrap intervals over queries. Titles of a catalog are queries, too, without and with a typing error.

Queries are in `search/`, with the tracks that are relevant for them as conditions on the catalog. `queries.json` was written
before any search was run on it, and `facet_queries.json` (negation, opposites, several languages, style and scene) and
`language_queries.json` (seven languages) before the search was changed for such queries; `development_queries.json` is for
the development of methods.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from content.encoders.text import encode_texts, text_encoder_version
from recommender.search.text_normalization import normalize
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
Search = Callable[[str], list[int]]
"""From a query to at most K items."""
NAMES = 100
"""Most titles of a catalog that are misspelled."""
MIN_LETTERS = 5
"""The longest word of a title has at least this many letters a to z; errors in shorter words make other words."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(f"[a-z]{{{MIN_LETTERS},}}")


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
        `precision` at K by group of queries (a kind, a language, a kind in a language, or all), `misses` with the
        precision of the queries below 1, and `names` with the recall at K of titles without and with an error.
    """
    rows = list(tracks.iter_rows(named=True))
    relevant = [{row["item"] for row in rows if query.is_relevant(row)} for query in queries]
    names = sample_names(tracks)
    titles = [name.items for name in names]
    with tempfile.TemporaryDirectory(prefix="segue-search-") as folder:
        write_search(tracks, Path(folder) / "search", encode_texts, text_encoder_version())
        index = TrackSearch.load(Path(folder) / "search", encode_texts, text_encoder_version())

        def search(text: str) -> list[int]:
            return [match.item for match in index.search(text, K, today)]

        found_Q = _precision(search, [query.text for query in queries], relevant)
        exact_N = _precision(search, [name.title for name in names], titles)
        misspelled_N = _precision(search, [name.misspelled for name in names], titles)
    groups = {ALL: np.ones(len(queries), dtype=bool)}
    for query in queries:
        for name in _groups(query):
            groups.setdefault(name, np.array([name in _groups(other) for other in queries]))
    exact, misspelled = (bootstrap.mean((found_N > 0).astype(float)) for found_N in (exact_N, misspelled_N))
    return {
        "k": K,
        "precision": {name: _summary(found_Q[members]) for name, members in groups.items()},
        "misses": {query.text: float(value) for query, value in zip(queries, found_Q, strict=True) if value < 1},
        "names": {"titles": len(names), "exact": exact.interval(), "misspelled": misspelled.interval()},
    }


def _groups(query: EvaluationQuery) -> tuple[str, ...]:
    return query.kind, query.language, f"{query.kind} {query.language}"


def _summary(found_Q: np.ndarray) -> dict[str, Any]:
    return {"queries": len(found_Q), "search": bootstrap.mean(found_Q).interval()}


def _precision(search: Search, texts: Sequence[str], relevant: Sequence[Collection[int]]) -> np.ndarray:
    """Relevant items among the first K of each query, divided by K or their number if that is smaller."""
    precision = []
    for text, items in zip(texts, relevant, strict=True):
        found = search(text)[:K]
        precision.append(len(set(found) & set(items)) / max(min(len(items), K), 1))
    return np.array(precision, dtype=float)


@dataclass(frozen=True)
class NameQuery:
    """A title, the same with one error, and the tracks that have it."""

    title: str
    misspelled: str
    items: frozenset[int]


def sample_names(tracks: pl.DataFrame, seed: int = 0) -> list[NameQuery]:
    """At most NAMES titles, in random order.

    Args:
        tracks: The catalog, with the columns `item` and `title`.
        seed: Of the sample and of the errors.
    """
    items_of: dict[str, set[int]] = {}
    if "title" in tracks.columns:
        for item, title in tracks.select("item", "title").drop_nulls().iter_rows():
            items_of.setdefault(normalize(title), set()).add(item)
    random = np.random.default_rng(seed)
    titles = [title for title in items_of if _WORD.search(title)]
    queries = []
    for index in random.permutation(len(titles))[:NAMES].tolist():
        misspelled = misspell(titles[index], random)
        if misspelled not in items_of:
            queries.append(NameQuery(titles[index], misspelled, frozenset(items_of[titles[index]])))
    return queries


def misspell(title: str, random: np.random.Generator) -> str:
    """The title with one error in its longest word, not in its first letter.

    A letter is left out, doubled or replaced, or two neighbors change places.

    Raises:
        ValueError: No word has MIN_LETTERS letters a to z.
    """
    word = max(_WORD.finditer(title), key=lambda match: len(match.group()), default=None)
    if word is None:
        raise ValueError(f"{title!r} has no word of {MIN_LETTERS} letters a to z; take another title")
    place = int(random.integers(word.start() + 1, word.end() - 1))
    before, letter, following, after = title[:place], title[place], title[place + 1], title[place + 2 :]
    other = str(random.choice([one for one in LETTERS if one != letter]))
    swapped = other + following if letter == following else following + letter
    changed = (following, letter + letter + following, other + following, swapped)[int(random.integers(4))]
    return before + changed + after
