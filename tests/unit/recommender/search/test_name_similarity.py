"""Similarity of queries to names."""

import pytest

from recommender.search.named_tracks import match_name


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("golden lantern", "Golden Lantern"),
        ("goldn lantren", "Golden Lantern No. 5"),
        ("scond leter orchestra", "The Second Letter Orchestra"),
        ("silvercity", "Silver City"),
        ("夜曲", "夜曲"),
    ],
)
def test_the_same_name(query, name):
    assert match_name(query.split() if query.isascii() else list(query), name).similarity >= 0.8


@pytest.mark.parametrize(
    ("query", "name"),
    [("quiet", "Quiet River"), ("night train", "Midnight Train"), ("silver city", "Golden City"), ("夜", "夜曲")],
)
def test_another_name(query, name):
    assert match_name(query.split(), name).similarity < 0.8


def test_words_without_errors_match_themselves_only():
    assert match_name(["lights"], "Nights", exact={"lights"}).similarity == 0
    assert match_name(["lights"], "Nights").similarity > 0.8


def test_a_name_within_a_query():
    match = match_name(["sad", "second", "letter"], "The Second Letter")
    assert match.positions == (1, 2) and match.covered_words == 2 and match.covered_name > 0.85
