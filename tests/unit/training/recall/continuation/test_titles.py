"""Titles: their parts, the lists that they match, and versions of the encoder."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from training.data.vocabulary import Vocabulary
from training.recall.continuation.titles import (
    TextVectors,
    TitlePlaylists,
    TitleWords,
    artist_lists,
    facet_lists,
    title_parts,
    word_sequences,
)

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
            "emotions": [None] * len(pairs),
        }
    )


@pytest.fixture(scope="module")
def vocabulary(tracks):
    return Vocabulary.build(tracks, tracks.select("track_id"))


@pytest.fixture(scope="module")
def words(tracks, vocabulary):
    lists = facet_lists(tracks, vocabulary)
    vectors = TextVectors.encode(list(lists)).select(lists)
    return TitleWords(vectors, artist_lists(vocabulary), np.ones(len(vocabulary), dtype=bool))


def facets_found(words, tracks, vocabulary, title, k=3):
    found = words.continue_playlist(np.zeros(0, dtype=np.int64), title, k).items_BK[0]
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
    ],
)
def test_words_of_a_title_find_tracks_with_these_facets(words, tracks, vocabulary, title, expected):
    assert facets_found(words, tracks, vocabulary, title) == {expected}


def test_artists_in_a_title_are_found_by_name(words, vocabulary):
    found = words.continue_playlist(np.zeros(0, dtype=np.int64), "Best of blue  MOON", 12).items_BK[0]
    assert {vocabulary.describe(item).rpartition("by ")[2] for item in found.tolist()} == {"Blue Moon"}


def test_seeds_and_unservable_tracks_are_left_out(tracks, vocabulary):
    lists = facet_lists(tracks, vocabulary)
    is_servable_V = np.ones(len(vocabulary), dtype=bool)
    rock = lists["rock"]
    is_servable_V[rock[0]] = False
    source = TitlePlaylists(TextVectors.encode(["Rock"]).select({"Rock": rock}), is_servable_V)
    found = source.continue_playlist(rock[1:2], "rock", 20).items_BK[0]
    assert found[found > 0].tolist() == rock[2:].tolist()


@pytest.mark.parametrize("title", ["", "  ", "123 !!", "🎵", "My favourite music: best of 2020", "我的歌单"])
def test_titles_without_words_find_nothing(words, title):
    assert not words.continue_playlist(np.zeros(0, dtype=np.int64), title, 5).items_BK.any()


def test_parts_are_words_pairs_and_pairs_of_chinese_characters():
    def texts(title):
        parts = title_parts(title)
        assert all(title[part.start : part.end].startswith(part.text[:2]) for part in parts)
        return [part.text for part in parts]

    assert texts("My Sad music of, 2020!") == ["Sad", "My Sad", "Sad music"]
    assert texts("安静的歌 R&B") == ["安静的歌", "安静", "静的", "R&B", "安静的歌 R&B"]
    assert len(texts("word " * 100)) <= 16 and len(texts("字" * 200)) <= 10
    assert word_sequences(["a", "b", "c"], 2) == ["a", "a b", "b", "b c", "c"]


def test_vectors_of_another_encoder_are_not_used(tmp_path, caplog):
    vectors = TextVectors.encode(["rock", "rock", " ", "jazz"])
    assert vectors.texts == ("rock", "jazz")
    vectors.save(tmp_path)
    loaded = TextVectors.load(tmp_path)
    assert loaded.texts == vectors.texts and np.array_equal(loaded.vector_TD, vectors.vector_TD)
    assert TextVectors.load(tmp_path / "missing") is None
    replace(vectors, encoder="older").save(tmp_path)
    assert TextVectors.load(tmp_path) is None and "older" in caplog.text
