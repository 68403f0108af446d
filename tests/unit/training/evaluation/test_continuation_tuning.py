"""Weights of playlist continuation: hidden playlists are not known to any source."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

from recommender.catalog.collections import Collections
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from sequences.sequence_batch import FIRST_CODE
from tests.support.training.playlist_source import PlaylistSource
from tests.support.training.recall_cases import Case, recall_cases
from tests.support.training.tiny_world import SERVICES, random_plays, write_marts
from training.data.collection_cases import read_collections
from training.data.training_data import TrainingData
from training.evaluation import continuation_tuning
from training.evaluation.continuation_tuning import (
    fit_continuation,
    fit_on_sessions,
    split_playlists,
)
from training.recipes import config_of, recipe
from training.train import fit_channel

COUNT = 150


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The tiny world with playlists of one language each, their edges, and plays from them."""
    marts = write_marts(tmp_path_factory.mktemp("playlists"), random_plays())
    generator = np.random.default_rng(0)
    rows = [
        {
            "playlist_id": f"p{number:03}",
            "title": ("Western", "Mandarin")[number % 2] + f" mix {number}",
            "track_ids": [f"t{2 * one + number % 2}" for one in generator.choice(20, 12, replace=False)],
        }
        for number in range(COUNT)
    ]
    pl.DataFrame(rows).write_parquet(marts / "playlists.parquet")
    triples = pl.DataFrame(rows).explode("track_ids").select(
        head=pl.format("track:{}", "track_ids"),
        relation=pl.lit("in_playlist"),
        tail=pl.format("playlist:{}", "playlist_id"),
    )  # fmt: skip
    pl.concat([pl.read_parquet(marts / "knowledge_triples.parquet"), triples]).write_parquet(
        marts / "knowledge_triples.parquet"
    )
    for mart in ("events", "plays"):
        rows = pl.read_parquet(marts / f"{mart}.parquet")
        number = pl.int_range(pl.len()) % COUNT
        rows.with_columns(context_id=pl.format("playlist:p{}", number.cast(pl.String).str.zfill(3))).write_parquet(
            marts / f"{mart}.parquet"
        )
    return TrainingData(marts, "held_out", recipe("debug"), services=SERVICES)


@pytest.fixture(scope="module")
def playlists(world):
    return read_collections(world, "playlist")


def test_parts_are_disjoint_and_independent_of_other_playlists(playlists):
    parts = split_playlists(playlists)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(FIRST_CODE, len(playlists)))
    assert all(len(numbers) > 10 for numbers in parts.values())
    fewer = Collections.from_rows("playlist", [(str(playlists.ids_N[n]), "", [2]) for n in parts["test"].tolist()])
    assert len(split_playlists(fewer)["test"]) == len(fewer) - FIRST_CODE


def test_graph_without_entities_has_no_walk_through_them(world, tmp_path, playlists):
    channel = fit_channel(KnowledgeGraphWalks, world, config_of(KnowledgeGraphWalks, "debug"), tmp_path)
    names = [f"playlist:{name}" for name in playlists.ids_N[FIRST_CODE:]]
    reduced = channel.without_entities([*names, "playlist:unknown"])
    hidden = {channel.graph.first_entity + channel.graph.entities.index(name) for name in names}
    assert hidden & set(channel.graph.tail_T.tolist())
    assert not hidden & {*reduced.graph.tail_T.tolist(), *reduced.graph.head_T.tolist()}
    assert len(reduced.graph.head_T) == (channel.graph.relation_T != channel.graph.relations.index("in_playlist")).sum()


def test_weights_are_fitted_on_validation_playlists_that_no_source_knows(world, playlists, monkeypatch):
    parts = split_playlists(playlists)
    all_sources = Mock(wraps=continuation_tuning.all_sources)
    monkeypatch.setattr(continuation_tuning, "all_sources", all_sources)
    fitted = fit_continuation(world, {}, playlists, parts["train"], parts["validation"])
    assert set(all_sources.call_args.args[2]) == set(parts["train"])
    assert set(fitted.weights) == {"1", "2", "10"} and set(fitted.weights["1"].weights) == {"playlist_neighbors"}
    assert (
        fit_continuation(world, {}, playlists, parts["train"], parts["validation"][:5])
        == continuation_tuning.Continuation()
    )


def test_the_weight_of_titles_is_fitted_without_those_that_name_a_style_or_a_language(world, playlists):
    parts = split_playlists(playlists)
    # All titles name the language.
    assert "0" not in fit_continuation(world, {}, playlists, parts["train"], parts["validation"]).weights
    titles = [str(title).replace("Western", "Sunny").replace("Mandarin", "Gloomy") for title in playlists.titles_N]
    others = replace(playlists, titles_N=np.array(titles, dtype=object))
    assert "0" in fit_continuation(world, {}, others, parts["train"], parts["validation"]).weights


def sessions_of(tracks, count):
    """Sessions of different users with these tracks."""
    return recall_cases([Case(str(number), [], tracks, tracks) for number in range(count)])


def test_without_playlists_weights_are_fitted_on_sessions():
    good = PlaylistSource("good", [*range(1_000, 1_025), 3, 4, 5])  # not among the first 30 of both sources
    sources = {"good": good, "other": PlaylistSource("other", range(2_000, 2_060))}
    fitted = fit_on_sessions(sources, sessions_of([2, 3, 4, 5], 40))
    assert list(fitted.weights) == ["1"], "sessions are too short for more seeds"
    weights = fitted.weights["1"].weights
    assert weights["good"] > weights["other"]
    assert fit_on_sessions(sources, sessions_of([2, 3, 4, 5], 3)).weights == {}
