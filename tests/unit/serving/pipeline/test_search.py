"""Track search."""

from serving.pipeline.search import search
from tests.support.serving.small_release import release, tracks
from training.slate.filters import Exclusions, FilterContext

NOW = 1_000


def found(words, limit=10, **columns):
    served = release(tracks(6, **columns), [])
    shown = FilterContext(served.catalog, Exclusions(), served.vocabulary.track_code, NOW, territory="")
    return [one.track_id for one in search(words, limit, served, shown)]


def test_every_word_matches_title_or_artists_case_insensitively():
    titles = ["Hey Jude", "Hey You", "Yesterday", "夜曲", "Straße", "Jude Law"]
    assert found("jude", title=titles) == ["t0", "t5"]
    assert found("ARTIST 0 hey", title=titles) == ["t0", "t1"]
    assert found("夜", title=titles) == ["t3"]
    assert found("STRASSE", title=titles) == ["t4"]
    assert found("hey unknown_user", title=titles) == []


def test_empty_query_returns_tracks_up_to_the_limit():
    assert found("") == [f"t{n}" for n in range(6)]
    assert found("  ", limit=2) == ["t0", "t1"]


def test_unplayable_tracks_are_not_found():
    assert found("song", is_in_catalogue=[False, *[True] * 5]) == [f"t{n}" for n in range(1, 6)]
    assert found("song", territories=[["DE"], *[None] * 5]) == [f"t{n}" for n in range(1, 6)]
    assert found("song", recording_id=["r", "r", *[None] * 4]) == ["t0", *[f"t{n}" for n in range(2, 6)]]
