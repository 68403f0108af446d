"""Facets of tracks that the catalog does not describe, from the tag probabilities of their audio.

`audio_facets.csv` maps MusiCNN's tags to facet values, each with the probability from which on it counts. A facet for
which the catalog has a value is left as it is. The published table `track_facets` has the filled values with their
probability and `source = audio`; models read it wherever they read facets of the catalog.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from storage import mart_tables

MAPPING_FILE = Path(__file__).parent / "audio_facets.csv"  # tag, facet, value, min_probability
MAX_VALUES = 2  # of one facet of a track, the most probable ones
OPTIONAL_FACETS = ("themes",)
"""Facets that a track without a value may lack on purpose: they are filled only if no track of the catalog has a value."""
SOURCE = "audio"
RELATIONS = {"styles": ("has_style", "style"), "emotions": ("has_emotion", "emotion"), "themes": ("has_theme", "theme")}
"""Facet to the relation of its triples and the type of their tails, as in the mart `knowledge_triples`."""


def missing_facets(tracks: pl.DataFrame, content: pl.DataFrame, tags: tuple[str, ...]) -> pl.DataFrame:
    """Facet values of tracks that have none in the catalog, by track, facet and descending probability.

    Args:
        tracks: track_id and the facets of the catalog as lists, which may be null or missing.
        content: track_id and `tag_probabilities` in the order of `tags`; null: not encoded.
        tags: Names of the tags.

    Returns:
        Columns of `storage.mart_tables.FACET_SCHEMA`. A value is as probable as its most probable tag.
    """
    probabilities = content.drop_nulls("tag_probabilities").select(
        "track_id", tag=pl.lit(list(tags)), probability="tag_probabilities"
    )
    likely = (
        probabilities.explode("tag", "probability")
        .join(pl.read_csv(MAPPING_FILE), on="tag")
        .filter(pl.col("probability") >= pl.col("min_probability"))
    )
    values = likely.group_by("track_id", "facet", "value").agg(pl.col("probability").max())
    described = [
        tracks.filter(pl.col(facet).list.len() > 0).select("track_id", facet=pl.lit(facet))
        for facet in RELATIONS
        if facet in tracks.columns
    ]
    if described:
        has_facet = pl.concat(described)
        values = values.join(has_facet, on=["track_id", "facet"], how="anti")
        values = values.filter(
            ~pl.col("facet").is_in(OPTIONAL_FACETS) | ~pl.col("facet").is_in(has_facet["facet"].implode())
        )
    ordered = values.sort("track_id", "facet", "probability", "value", descending=[False, False, True, False])
    best = ordered.group_by("track_id", "facet", maintain_order=True).head(MAX_VALUES)
    return best.select("track_id", "facet", "value", pl.col("probability").cast(pl.Float32), source=pl.lit(SOURCE))


def fill_facets(tracks: pl.DataFrame, marts: Path) -> pl.DataFrame:
    """The tracks with the facets of the table `track_facets` where they have none; unchanged without that table."""
    file = mart_tables.facets_file(marts)
    if not file.exists():
        return tracks
    filled = pl.read_parquet(file)
    for facet in RELATIONS:
        if facet in tracks.columns:
            values = (
                filled.filter(pl.col("facet") == facet).group_by("track_id", maintain_order=True).agg(filled="value")
            )
            rows = tracks.join(values, on="track_id", how="left", maintain_order="left")
            is_empty = pl.col(facet).list.len().fill_null(0) == 0
            tracks = rows.with_columns(
                pl.when(is_empty & pl.col("filled").is_not_null()).then("filled").otherwise(facet).alias(facet)
            ).drop("filled")
    return tracks


def facet_triples(marts: Path) -> pl.DataFrame:
    """The rows of `track_facets` as triples (head, relation, tail) of the knowledge graph; empty without that table."""
    file = mart_tables.facets_file(marts)
    if not file.exists():
        return pl.DataFrame(schema=dict.fromkeys(("head", "relation", "tail"), pl.String))
    names = {facet: relation for facet, (relation, _) in RELATIONS.items()}
    types = {facet: tail for facet, (_, tail) in RELATIONS.items()}
    return pl.read_parquet(file).select(
        head="track:" + pl.col("track_id"),
        relation=pl.col("facet").replace_strict(names, return_dtype=pl.String),
        tail=pl.col("facet").replace_strict(types, return_dtype=pl.String) + ":" + pl.col("value"),
    )
