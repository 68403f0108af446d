"""Similarity of queries to names."""

import pytest

from recommender.search.named_tracks import match_name


@pytest.mark.parametrize(
    ("query", "name", "is_same"),
    [
        ("golden lantern", "Golden Lantern", True),
        ("goldn lantren", "Golden Lantern No. 5", True),
        ("scond leter orchestra", "The Second Letter Orchestra", True),
        ("silvercity", "Silver City", True),
        ("夜 曲", "夜曲", True),
        ("quiet", "Quiet River", False),
        ("night train", "Midnight Train", False),
        ("silver city", "Golden City", False),
        ("夜", "夜曲", False),
    ],
)
def test_the_same_and_other_names(query, name, is_same):
    assert (match_name(query.split(), name).similarity >= 0.8) == is_same


def test_words_without_errors_match_themselves_only():
    assert match_name(["lights"], "Nights", exact={"lights"}).similarity == 0
    assert match_name(["lights"], "Nights").similarity > 0.8
