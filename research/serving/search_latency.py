"""Latency of one search over a synthetic catalog, on one thread, with the queries of the evaluation.

Titles, artists, albums and lyrics have words of a vocabulary as frequent as words of a language are (Zipf); half of the
tracks also have words that queries contain. Results of `run(name, limit)(tracks)`:

    search_50k          p50 in ms over 50,000 tracks; must stay under 20
    search_1m           p50 in ms over 1,000,000 tracks; must stay under 60
    <name>_p95          95th percentile in ms
    <name>_memory       growth of the process by opening the index and searching, MB: the encoder and what is read of the index
    <name>_disk         size of the index, MB
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from research.result import Result, result_with_limit

ROUNDS = 3
WORDS = 50_000
TODAY = date(2026, 11, 1)
FIRST_RELEASE = date(1960, 1, 1)
LIMIT = 20


def run(name: str, limit_ms: float) -> Callable[[int], list[Result]]:
    """Return a benchmark whose argument is the number of tracks."""

    def measure(tracks: int) -> list[Result]:
        from content.encoders.text import encode_texts, text_encoder_version
        from recommender.search.write_search import write_search

        with tempfile.TemporaryDirectory(prefix="segue-search-bench-") as folder:
            write_search(make_tracks(tracks), Path(folder) / "search", encode_texts, text_encoder_version())
            # In a process of its own: building takes memory that searching does not.
            command = [sys.executable, "-m", "research.serving.search_latency", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        found = json.loads(done.stdout)
        return [
            result_with_limit(name, "ms", found["p50"], limit_ms),
            Result.from_values(f"{name}_p95", "ms", found["p95"]),
            Result.from_values(f"{name}_memory", "MB", found["memory"]),
            Result.from_values(f"{name}_disk", "MB", size / 1e6),
        ]

    return measure


def make_tracks(count: int) -> pl.DataFrame:
    """Return a catalog with the columns of `build_index`."""
    from recommender.search.lexicon import known_phrases

    random = np.random.default_rng(0)
    values: dict[str, list[str]] = {}
    for facet, value in dict.fromkeys(phrase.value for phrase in known_phrases()):
        values.setdefault(facet, []).append(value)
    artists = _texts(random, count // 8 + 1, 3)
    albums = _texts(random, count // 6 + 1, 2)
    artist_V = np.sort(random.integers(0, len(artists), count))
    days = (TODAY - FIRST_RELEASE).days
    return pl.DataFrame(
        {
            "item": np.arange(count) + 2,
            "title": _texts(random, count, 3),
            "artist_names": [[artists[artist]] for artist in artist_V.tolist()],
            "album_title": [albums[album] for album in random.integers(0, len(albums), count).tolist()],
            "lyrics": _texts(random, count, 16),
            "released_on": [
                FIRST_RELEASE + timedelta(days=day) for day in (days * random.random(count) ** 0.4).astype(int).tolist()
            ],
            **{
                facet: _facet(random, count, names, 1 if facet == "languages" else 3) for facet, names in values.items()
            },
        }
    )


def _texts(random: np.random.Generator, count: int, words: int) -> list[str]:
    from ingestion.simulation.facets import ADJECTIVES, NOUNS

    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "an", "er")]
    made = ["".join(random.choice(syllables, 3)) for _ in range(WORDS)]
    vocabulary = np.array([*ADJECTIVES, *NOUNS, *made], dtype=object)
    sampled = np.minimum(
        random.zipf(1.2, (count, words)) - 1 + random.integers(0, 48, (count, words)), len(vocabulary) - 1
    )
    return [" ".join(row).title() for row in vocabulary[sampled].tolist()]


def _facet(random: np.random.Generator, count: int, values: list[str], most: int) -> list[list[str]]:
    number = random.integers(1, most + 1, count)
    sampled = random.integers(0, len(values), (count, most))
    return [
        [values[value] for value in row[:length]] for row, length in zip(sampled.tolist(), number.tolist(), strict=True)
    ]


def _measure(folder: Path) -> dict[str, float]:
    """Return milliseconds of the searches, and the growth of the process in MB."""
    import torch
    from threadpoolctl import threadpool_limits

    from content.encoders.text import encode_texts, text_encoder_version
    from recommender.search.track_search import TrackSearch
    from training.evaluation.search_quality import read_queries

    torch.set_num_threads(1)
    before = psutil.Process().memory_info().rss
    seconds = []
    with threadpool_limits(1):
        search = TrackSearch.load(folder / "search", encode_texts, text_encoder_version())
        queries = [query.text for name in ("queries", "development_queries") for query in read_queries(name)]
        for turn in range(ROUNDS + 1):
            for query in queries:
                began = time.perf_counter()
                search.search(query, LIMIT, TODAY)
                if turn:
                    seconds.append(time.perf_counter() - began)
    memory = psutil.Process().memory_info().rss - before
    percentiles = statistics.quantiles(seconds, n=20)
    return {"p50": statistics.median(seconds) * 1000, "p95": percentiles[18] * 1000, "memory": memory / 1e6}


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]))))
