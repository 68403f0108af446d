"""The catalog of a simulation as the table that a search is built from."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace

import polars as pl

from ingestion.simulation import catalog_rows
from ingestion.simulation.world import World
from training.evaluation.search_quality import FOLDER


def read_catalog() -> SimpleNamespace:
    """Tracks, days, seed and first day (`start`) of the simulation that the names in the queries are of."""
    world = json.loads((FOLDER / "queries.json").read_text(encoding="utf-8"))["world"]
    return SimpleNamespace(**world | {"start": date.fromisoformat(world["start"])})


def make_search_tracks(size: SimpleNamespace) -> pl.DataFrame:
    """The tracks with the columns of `recommender.search.write_search`, in the order of the simulation."""
    world = World(size.tracks, size.days, size.seed)
    tables = {
        name: pl.from_arrow(table) for name, table in catalog_rows.build_tables(world, size.start, size.seed).items()
    }
    names = dict(tables["artists"].select("artist_id", "name").iter_rows())
    tracks = tables["tracks"].join(
        tables["albums"].select("album_id", album_title="title"), on="album_id", how="left", maintain_order="left"
    )
    return tracks.with_columns(
        item=pl.int_range(pl.len()),
        languages=pl.concat_list("language"),
        artist_names=pl.Series([[names[artist] for artist in artists] for artists in tracks["artist_ids"].to_list()]),
    )
