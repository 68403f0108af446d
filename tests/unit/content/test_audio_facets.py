"""Facets from audio fill only what the catalog leaves empty, and reach everything that reads facets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from content.audio_facets import facet_triples, fill_facets, missing_facets
from content.encoders.musicnn import TAGS
from recommender.catalog.catalog import Catalog
from recommender.recall.knowledge_graph.graph import KnowledgeGraph
from storage.mart_tables import FACET_SCHEMA, facets_file
from tests.support.training.tiny_world import random_plays, write_marts
from training.data.training_data import TrainingData
from training.recall.knowledge_graph import read_triples
from training.recipes import recipe


def content_of(**probabilities: dict[str, float] | None) -> pl.DataFrame:
    rows = [[tags.get(tag, 0.0) for tag in TAGS] if tags is not None else None for tags in probabilities.values()]
    schema = {"track_id": pl.String, "tag_probabilities": pl.List(pl.Float32)}
    return pl.DataFrame({"track_id": list(probabilities), "tag_probabilities": rows}, schema=schema)


TAGGED = {"techno": 0.8, "electronic": 0.5, "rock": 0.3, "pop": 0.2, "no vocals": 0.7}


@pytest.mark.parametrize(
    ("columns", "tags", "expected"),
    [
        pytest.param(
            {},
            {"a": TAGGED, "b": {"rock": 0.1}, "c": None},
            [("a", "styles", "electronic", 0.8), ("a", "styles", "rock", 0.3), ("a", "themes", "instrumental", 0.7)],
            id="a value has the probability of its most probable tag",
        ),
        pytest.param(
            {"styles": [["jazz"], [], None], "emotions": [[], [], []]},
            {"a": {"rock": 0.9, "loud": 0.9}, "b": {"rock": 0.9}, "c": {"rock": 0.9}},
            [("a", "emotions", "excited", 0.9), ("b", "styles", "rock", 0.9), ("c", "styles", "rock", 0.9)],
            id="values of the catalog are kept",
        ),
        pytest.param(
            {"themes": [[], [], []]}, {"a": {"piano": 0.9}}, [("a", "themes", "piano", 0.9)], id="no track has a theme"
        ),
        pytest.param({"themes": [[], ["covers"], []]}, {"a": {"piano": 0.9}}, [], id="a track has a theme"),
    ],
)
def test_facets_that_the_catalog_lacks(
    columns: dict[str, list[Any]], tags: dict[str, dict[str, float] | None], expected: list[tuple[Any, ...]]
) -> None:
    tracks = pl.DataFrame(
        {"track_id": list("abc")} | columns, schema_overrides=dict.fromkeys(columns, pl.List(pl.String))
    )
    found = missing_facets(tracks, content_of(**tags), TAGS)
    assert [(*row[:3], round(row[3], 2)) for row in found.rows()] == expected
    assert found.to_arrow().cast(FACET_SCHEMA).num_rows == len(expected) == found["source"].eq("audio").sum()


def write_facets(marts: Path, *rows: tuple[str, str, str]) -> None:
    frame = pl.DataFrame(rows, schema=["track_id", "facet", "value"], orient="row")
    frame.with_columns(probability=pl.lit(0.5), source=pl.lit("audio")).write_parquet(facets_file(marts))


def test_facets_are_filled_in_order_and_only_where_empty(tmp_path: Path) -> None:
    tracks = pl.DataFrame({"track_id": ["a", "b", "c"], "styles": [["jazz"], [], None], "themes": [[], ["x"], ["y"]]})
    assert fill_facets(tracks, tmp_path).equals(tracks) and facet_triples(tmp_path).is_empty()
    write_facets(
        tmp_path, ("a", "styles", "rock"), ("b", "styles", "rock"), ("b", "styles", "pop"), ("c", "emotions", "quiet")
    )
    filled = fill_facets(tracks, tmp_path)
    assert filled["styles"].to_list() == [["jazz"], ["rock", "pop"], None]
    assert filled["themes"].to_list() == tracks["themes"].to_list()
    assert facet_triples(tmp_path).rows()[1:] == [
        ("track:b", "has_style", "style:rock"),
        ("track:b", "has_style", "style:pop"),
        ("track:c", "has_emotion", "emotion:quiet"),
    ]


def test_models_and_diversity_read_them(tmp_path: Path) -> None:
    marts = write_marts(tmp_path, random_plays())
    write_facets(marts, ("t1", "styles", "rock"), ("t2", "styles", "rock"))
    data = TrainingData(marts, "held_out", recipe("debug"))
    values, lists = data.facets["styles"]
    items = data.vocabulary.encode(["t1", "t2", "t3"])
    assert values == ["rock"] and [lists[item].tolist() for item in items] == [[0], [0], []]
    items = data.vocabulary.encode(["t1", "t2", "t4"])
    assert Catalog.build(data.track_rows, data.vocabulary).facets.similarity(items)[0, 1] > 0.4
    assert "style:rock" in KnowledgeGraph.build(read_triples(marts), data.vocabulary).entities
