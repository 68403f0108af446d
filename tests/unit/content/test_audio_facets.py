"""Facets from audio fill only what the catalog leaves empty, and reach everything that reads facets."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from content.audio_facets import facet_triples, fill_facets, missing_facets
from content.encoders.musicnn import TAGS
from recommender.catalog.catalog import Catalog
from recommender.recall.knowledge_graph.graph import KnowledgeGraph
from storage.content_tables import FACET_SCHEMA, facets_file
from tests.support.training.tiny_world import random_plays, write_marts
from training.data.training_data import TrainingData
from training.recall.knowledge_graph import read_triples
from training.recipes import recipe


def content_of(**probabilities: dict[str, float] | None) -> pl.DataFrame:
    rows = [[tags.get(tag, 0.0) for tag in TAGS] if tags is not None else None for tags in probabilities.values()]
    schema = {"track_id": pl.String, "tag_probabilities": pl.List(pl.Float32)}
    return pl.DataFrame({"track_id": list(probabilities), "tag_probabilities": rows}, schema=schema)


def test_a_value_has_the_probability_of_its_most_probable_tag() -> None:
    content = content_of(
        a={"techno": 0.8, "electronic": 0.5, "rock": 0.3, "pop": 0.2, "no vocals": 0.7}, b={"rock": 0.1}
    )
    found = missing_facets(pl.DataFrame({"track_id": ["a", "b"]}), content, TAGS)
    assert [(facet, value, round(probability, 2)) for _, facet, value, probability, _ in found.rows()] == [
        ("styles", "electronic", 0.8),
        ("styles", "rock", 0.3),
        ("themes", "instrumental", 0.7),
    ]
    assert set(found["source"]) == {"audio"} and found.to_arrow().cast(FACET_SCHEMA).num_rows == 3


def test_values_of_the_catalog_are_kept() -> None:
    tracks = pl.DataFrame(
        {"track_id": ["a", "b", "c", "d"], "styles": [["jazz"], [], None, []], "emotions": [[], [], [], []]},
        schema_overrides={"emotions": pl.List(pl.String)},
    )
    content = content_of(a={"rock": 0.9, "loud": 0.9}, b={"rock": 0.9}, c={"rock": 0.9}, d=None)
    found = missing_facets(tracks, content, TAGS)
    assert found.select("track_id", "facet", "value").rows() == [
        ("a", "emotions", "excited"),
        ("b", "styles", "rock"),
        ("c", "styles", "rock"),
    ]


def test_themes_are_filled_only_in_a_catalog_without_themes() -> None:
    content = content_of(a={"piano": 0.9}, b={})
    for themes, filled in (([[], []], ["piano"]), ([[], ["covers"]], [])):
        tracks = pl.DataFrame(
            {"track_id": ["a", "b"], "themes": themes}, schema_overrides={"themes": pl.List(pl.String)}
        )
        assert missing_facets(tracks, content, TAGS)["value"].to_list() == filled


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
