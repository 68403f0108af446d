"""Titles: the tracks that they ask for, with and without seeds, and versions of the encoder."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from content.encoders.text import encode_texts
from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.continuation.titles import (
    FacetTracks,
    TextVectors,
    TitlePlaylists,
    TitleWords,
    WithoutUnwanted,
    artist_lists,
)
from recommender.search.query_parser import QueryParser
from tests.support.training.playlist_source import PlaylistSource

LANGUAGES, STYLES = ("Mandarin", "Western", "Cantonese"), ("rock", "jazz", "folk", "light music")


@pytest.fixture(scope="module")
def tracks():
    pairs = [(language, style) for language in LANGUAGES for style in STYLES for _ in range(3)]
    return pl.DataFrame(
        {
            "track_id": [f"t{number:02}" for number in range(len(pairs))],
            "title": ["Song"] * len(pairs),
            "artist_id": [f"a{number // 12}" for number in range(len(pairs))],
            "artist_names": [[f"Blue {('River', 'Moon', 'Car')[number // 12]}"] for number in range(len(pairs))],
            "languages": [[language] for language, _ in pairs],
            "styles": [[style] for _, style in pairs],
            "emotions": [["quiet"], ["excited"], None] * (len(pairs) // 3),
        }
    )


@pytest.fixture(scope="module")
def vocabulary(tracks):
    return Vocabulary.build(tracks, tracks.select("track_id"))


@pytest.fixture(scope="module")
def facets(tracks, vocabulary):
    return FacetTracks(Catalog.build(tracks, vocabulary).facets.items_of, len(vocabulary))


@pytest.fixture(scope="module")
def words(tracks, vocabulary, facets):
    is_servable_V = np.arange(len(vocabulary)) >= 2
    return TitleWords(QueryParser.of(tracks, encode_texts), facets, artist_lists(vocabulary), is_servable_V)


def facets_found(words, tracks, vocabulary, title, k=3):
    found = words.continue_playlist(np.zeros(0, dtype=np.int64), title, k)[0]
    rows = tracks.filter(pl.col("track_id").is_in(vocabulary.decode(found[found > 0])))
    return {(row["languages"][0], row["styles"][0]) for row in rows.to_dicts()}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Cantonese rock favourites 1", ("Cantonese", "rock")),
        ("my JAZZ: western", ("Western", "jazz")),
        ("Cantonese pop and jazz", ("Cantonese", "jazz")),
        ("western light music favourites", ("Western", "light music")),
        ("粤语摇滚", ("Cantonese", "rock")),
        ("Mandarin 民谣", ("Mandarin", "folk")),
        ("ruhiger kantonesischer Jazz", ("Cantonese", "jazz")),
        ("Western but no rock, jazz or folk", ("Western", "light music")),
    ],
)
def test_words_of_a_title_find_tracks_with_these_facets(words, tracks, vocabulary, title, expected):
    assert facets_found(words, tracks, vocabulary, title) == {expected}


def test_artists_in_a_title_are_found_by_name(words, vocabulary):
    found = words.continue_playlist(np.zeros(0, dtype=np.int64), "Best of blue  MOON", 12)[0]
    assert {vocabulary.describe(item).rpartition("by ")[2] for item in found.tolist()} == {"Blue Moon"}


@pytest.mark.parametrize(
    ("title", "left"), [("No rock", {"jazz", "folk", "light music"}), ("不太爵士", {"rock", "folk", "light music"})]
)
def test_a_title_may_only_say_what_is_not_wanted(words, tracks, vocabulary, title, left):
    assert {style for _, style in facets_found(words, tracks, vocabulary, title, 36)} == left


def test_a_title_adds_to_seeds_only_tracks_of_their_style_and_language(words, tracks, vocabulary):
    is_western_rock = (pl.col("languages") == ["Western"]) & (pl.col("styles") == ["rock"])
    quiet, excited, _ = vocabulary.encode(tracks.filter(is_western_rock)["track_id"].to_list()).tolist()
    found = words.continue_playlist(np.array([excited]), "calm jazz", 36)[0]
    assert found[found > 0].tolist() == [quiet]


def test_seeds_and_unservable_tracks_are_left_out(tracks, vocabulary, facets):
    rock = Catalog.build(tracks, vocabulary).facets.items_of["styles", "rock"]
    is_servable_V = np.ones(len(vocabulary), dtype=bool)
    is_servable_V[rock[0]] = False
    source = TitlePlaylists(TextVectors.encode(["Rock"]).select({"Rock": rock}), facets, is_servable_V)
    like = facets.like(rock[1:2])
    found = source.continue_playlist(rock[1:2], "rock", 20)[0]
    assert found[found > 0].tolist() == [item for item in rock[2:].tolist() if like[item]]


@pytest.mark.parametrize(
    ("seeds", "title", "is_refused"), [("jazz", "No rock", True), ("rock", "No rock", False), ("jazz", "", False)]
)
def test_no_source_finds_what_a_title_does_not_want_but_for_seeds_like_it(
    words, tracks, vocabulary, seeds, title, is_refused
):
    lists = Catalog.build(tracks, vocabulary).facets.items_of
    items, refused = lists["styles", seeds][:2], lists["styles", "rock"] if is_refused else []
    source = WithoutUnwanted(PlaylistSource("every", range(2, 38)), words)
    found = source.continue_playlist(items, title, 36)[0]
    assert set(found[found > 0].tolist()) == set(range(2, 38)) - {*items, *refused}


@pytest.mark.parametrize("title", ["", "  ", "123 !!", "🎵", "My favourite music: best of 2020", "我的歌单"])
def test_titles_without_words_find_nothing(words, title):
    assert not words.continue_playlist(np.zeros(0, dtype=np.int64), title, 5).any()


def test_vectors_of_another_encoder_are_not_used(tmp_path, caplog):
    vectors = TextVectors.encode(["rock", "rock", " ", "jazz"])
    assert vectors.texts == ("rock", "jazz")
    vectors.save(tmp_path)
    loaded = TextVectors.load(tmp_path)
    assert loaded.texts == vectors.texts and np.array_equal(loaded.vector_TD, vectors.vector_TD)
    assert TextVectors.load(tmp_path / "missing") is None
    replace(vectors, encoder="older").save(tmp_path)
    assert TextVectors.load(tmp_path) is None and "older" in caplog.text
