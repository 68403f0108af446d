"""The search of a hand-made release."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from recommender.search.track_search import TrackSearch
from recommender.search.write_search import write_search
from serving.releases.served_release import ServedRelease

VERSION = "made by hand"


def encode_nothing(texts):
    """Vectors that are not similar to each other."""
    return np.zeros((len(texts), 4), dtype=np.float32)


def with_search(release: ServedRelease, table: pl.DataFrame) -> ServedRelease:
    """The release with the search of its tracks."""
    items = [release.vocabulary.track_code[track] for track in table["track_id"].to_list()]
    rows = table.with_columns(item=pl.Series(items)).sort("item")
    with tempfile.TemporaryDirectory() as folder:
        write_search(rows, Path(folder) / "search", encode_nothing, VERSION)
        search = TrackSearch.load(Path(folder) / "search", encode_nothing, VERSION)
    return replace(release, search=search)
