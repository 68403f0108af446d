"""Search over a small catalog, with an encoder that knows a few words."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from recommender.search import text_vectors
from recommender.search.text_vectors import TextVectors, write_text_vectors
from recommender.search.track_search import CANDIDATES, TrackSearch
from recommender.search.write_search import write_search

TODAY = date(2026, 1, 1)
MEANINGS = ("sad", "happy")
SYNONYMS = {"woebegone": "sad", "sad": "sad", "gleeful": "happy", "happy": "happy"}


def encode(texts):
    """The unit vector of the first word with a meaning; zeros if there is none."""
    rows = np.zeros((len(texts), len(MEANINGS)), dtype=np.float32)
    for row, text in enumerate(texts):
        meaning = next((SYNONYMS[word] for word in text.split() if word in SYNONYMS), None)
        if meaning is not None:
            rows[row, MEANINGS.index(meaning)] = 1
    return rows


def catalog(count=8, **columns):
    rows = {
        "item": [n + 2 for n in range(count)],
        "title": [
            "Silver River",
            "Golden Lantern",
            "Quiet Ocean",
            "夜曲",
            "Silver River No. 9",
            "Broken Train",
            "Rain",
            "1999",
        ],
        "artist_names": [
            ["The Slow Engine Band"],
            ["Anna"],
            ["Anna"],
            ["周杰倫"],
            ["Bob"],
            ["Bob"],
            ["Bob"],
            ["Carl", "Anna"],
        ],
        "album_title": ["Harbor", "Harbor", None, None, None, None, "First Album", None],
        "lyrics": [None, None, None, None, None, "a xylophone in the garden", None, None],
        "released_on": [date(2010 + n, 6, 1) for n in range(count)],
        "languages": [["Western"], ["Western"], ["Korean"], ["Mandarin"], ["Korean"], ["Western"], [], []],
        "emotions": [["sad"], ["happy"], ["sad", "quiet"], ["quiet"], ["happy"], None, ["lonely"], []],
        "scenes": [["night"], ["sport"], ["night"], [], ["sport"], [], [], []],
    }
    return pl.DataFrame({name: values[:count] for name, values in (rows | columns).items()})


def open_search(folder, table, encoder=encode, version="v1", vectors=None):
    write_search(table, folder / "search", encoder, "v1", vectors)
    return TrackSearch.load(folder / "search", encoder, version)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return open_search(tmp_path_factory.mktemp("search"), catalog())


def items(search, query, **options):
    return [match.item - 2 for match in search.search(query, 10, TODAY, **options)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("silver river", [0, 4]),
        ("silvr rver", [0, 4]),
        ("play golden lantren please", [1]),
        ("golden lantern anna", [1]),
        ("slow enginee band", [0]),
        ("夜曲", [3, 0, 2]),  # a title, and 夜 is the night
        ("周杰伦", [3]),  # simplified characters
        ("first album", [6]),
        ("xylophone", [5]),  # lyrics
        ("xilophone", [5]),
        ("1999", [7]),  # a title, although it is a year
        ("sad songs", [0, 2]),
        ("悲伤的歌", [0, 2]),
        ("sad songs for the night in korean", [2, 0]),
        ("not sad, korean", [4]),
        ("songs by the slow engine band for the night", [0]),
        ("from 2012", [2]),
        ("2011年的歌", [1]),
        ("sad songs, nothing from 2010", [2]),
        ("no music from before 2016", [6, 7]),
        ("不要2013年以前的", [3, 4, 5, 6, 7]),
        ("woebegone", [0, 2]),  # by meaning
        ("qqqq", []),
        # an error beside unknown words finds nothing
        ("qwxy lantren", []),
        ("qwxy goldn", []),
        ("lantren", [1]),
        ("qwxy zzvv lantern", [1]),
        ("qwxy zzvv xilophone", [5]),
    ],
)
def test_tracks_in_order(search, query, expected):
    assert items(search, query) == expected


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    titles, artists = ["七里香", "海阔天空", "轻音社", "不再悲伤"], [["周杰倫"], ["Anna"], ["Bob"], ["Bob"]]
    table = catalog(4, title=titles, artist_names=artists, styles=[[], ["light music"], [], []])
    return open_search(tmp_path_factory.mktemp("chinese"), table)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        *(("周杰轮", [0]), ("周结伦的歌", [0]), ("七里乡", [0]), ("海阔天宽", [1])),
        ("海宽天宽", []),  # two wrong characters
        ("轻音乐", [1]),  # words that are understood are no names with an error
    ],
)
def test_chinese_names_with_a_wrong_character(chinese, query, expected):
    assert items(chinese, query) == expected


@pytest.mark.parametrize(
    ("query", "reasons"),
    [
        ("golden lantern", ("title", set(), (), None)),
        ("sad korean songs of 2012", ("", {("emotions", "sad"), ("languages", "Korean")}, (), date(2012, 6, 1))),
        ("xylophone", ("", set(), ("xylophone",), None)),
    ],
)
def test_reasons(search, query, reasons):
    (match,) = search.search(query, 1, TODAY)
    assert (match.name_field, set(match.facets), match.words, match.released_on) == reasons


@pytest.fixture(scope="module")
def rock_and_jazz(tmp_path_factory):
    styles = [["rock"]] * 4 + [["jazz"]] * 4
    table = catalog(styles=styles, emotions=[["happy", "sad"], ["happy"]] * 4, scenes=[["night", "tea"]] * 8)
    return open_search(tmp_path_factory.mktemp("rock_and_jazz"), table)


@pytest.mark.parametrize(
    ("query", "whole", "partial"),
    [
        ("jazz for tea at night", [4, 5, 6, 7], [0]),
        ("cheerful", [1, 3, 5, 7], [0]),  # without the opposite
        ("jazz or rock", [0, 1, 2, 3, 4], []),
        ("bittersweet: happy and sad", [0, 2, 4, 6, 1], []),
    ],
)
def test_named_styles_and_languages_are_required_if_enough_tracks_have_them(rock_and_jazz, query, whole, partial):
    found = [(match.item - 2, match.is_partial) for match in rock_and_jazz.search(query, 5, TODAY)]
    assert found == [(item, False) for item in whole] + [(item, True) for item in partial]


def test_a_query_that_is_a_name_is_no_negation(tmp_path):
    titles, artists = ["Jazz", "No Jazz", "Rain", "Sun"], [["No Doubt"], ["Bob"], ["Anna"], ["Anna"]]
    search = open_search(
        tmp_path, catalog(4, title=titles, artist_names=artists, styles=[["rock"], ["jazz"], ["jazz"], ["rock"]])
    )
    assert items(search, "no doubt") == [0]
    assert items(search, "no jazz") == [1, 0, 3]  # not first the title "Jazz"
    assert items(search, "not jazz") == [0, 3]


@pytest.mark.parametrize(
    ("query", "periods", "empty", "expected"),
    [
        ("sad songs of the 80s", [], ["80s"], [0, 2]),  # the other parts are used
        ("1970年代", [], ["1970年代"], []),
        ("songs from the 1980s", [], ["1980s"], []),
        ("songs from 1985 or 2012", ["2012"], ["1985"], [2]),
        ("lonely or sad songs of 2011", ["2011"], [], [1]),  # none is sad, but no song of another year is found
        ("songs by the slow engine band from 2011", ["2011"], [], [0]),
    ],
)
def test_only_tracks_of_the_period_are_found_if_there_are_any(search, query, periods, empty, expected):
    parsed = search.parse(query, TODAY)
    named = [
        [period.words.removeprefix("of ").removeprefix("from ") for period in one]
        for one in (parsed.periods, parsed.empty_periods)
    ]
    assert named == [periods, empty]
    assert [match.item - 2 for match in search.rank(parsed, 10)] == expected


def test_more_candidates_are_read_if_few_are_allowed(tmp_path):
    count = 3 * CANDIDATES
    table = pl.DataFrame({"item": range(count), "title": ["Song"] * count, "emotions": [["sad"]] * count})
    found = open_search(tmp_path, table).search("sad", 5, TODAY, lambda some: some >= count - 2)
    assert [match.item for match in found] == [count - 2, count - 1]


def test_affinity_decides_between_equal_matches(search):
    assert items(search, "sad songs", affinity=lambda some: (some == 4).astype(float)) == [2, 0]
    assert items(search, "sad songs for the night in korean", affinity=lambda some: (some == 2).astype(float)) == [2, 0]


def test_without_the_encoder_of_the_release_there_is_no_search_by_meaning(tmp_path):
    search = open_search(tmp_path, catalog(), version="v2")
    assert items(search, "woebegone") == [] and items(search, "sad") == [0, 2]


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "|",
        "\0",
        "😀",
        '"a" AND (b',
        "title:x",
        "a" * 200,
        "的",
        "no",
        "not not",
        "é" * 50,
        "2015 - 2016 - 2017",
    ],
)
def test_any_text_is_a_query(search, query):
    assert len(search.search(query, 10, TODAY)) <= 10


def test_texts_with_a_similar_meaning(tmp_path):
    vectors = pl.DataFrame({"item": [6, 7, 9], "embedding": [[0.0, 1.0], [1.0, 0.0], [0.8, 0.6]]})
    search = open_search(tmp_path, catalog(emotions=[[]] * 8), vectors=vectors)
    found = search.search("woebegone", 10, TODAY)
    assert [match.item for match in found] == [7, 9] and all(match.is_by_text for match in found)
    assert [match.item for match in search.search("woebegone", 10, TODAY, lambda items: items != 7)] == [9]
    assert items(search, "woebegone western songs")[:1] == [5]  # item 7: by language and by its texts


def test_texts_are_similar_if_they_are_nearer_than_random_strings(tmp_path):
    def encode_letters(texts):
        vectors = encode(texts)
        return np.where(vectors.any(axis=1, keepdims=True), vectors, np.float32([0.8, 0.6]))

    vectors = pl.DataFrame({"item": [6, 7], "embedding": [[0.8, 0.6], [1.0, 0.0]]})
    search = open_search(tmp_path, catalog().drop("languages", "emotions", "scenes"), encode_letters, vectors=vectors)
    assert items(search, "qqqq") == [] and items(search, "woebegone") == [5]


@pytest.mark.parametrize("count", [50, 2_000])
def test_text_vectors_equal_exhaustive_search(tmp_path, monkeypatch, count):
    monkeypatch.setattr(text_vectors, "MAX_EXHAUSTIVE", 1_000)
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 16))[random.integers(0, 40, count)] + 0.2 * random.normal(size=(count, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    write_text_vectors(pl.DataFrame({"item": np.arange(count) + 2, "embedding": rows.tolist()}), tmp_path)
    nearest = [item for item, _ in TextVectors.load(tmp_path).nearest(rows[3], 10, -1.0)]
    expected = (np.argsort(-(rows @ rows[3]))[:10] + 2).tolist()
    assert nearest[0] == expected[0] == 5 and len(set(nearest) & set(expected)) >= 8


def test_a_rare_word_may_be_an_error_in_a_frequent_one(tmp_path):
    titles = ["Goldn", *["Broken Lantern"] * 150, "Golden Lantern"]
    table = pl.DataFrame({"item": range(len(titles)), "title": titles})
    assert open_search(tmp_path, table).search("goldn lantern", 1, TODAY)[0].item == len(titles) - 1
