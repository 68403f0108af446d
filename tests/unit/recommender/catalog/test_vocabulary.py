import polars as pl

from recommender.catalog.vocabulary import Vocabulary

TRACKS = pl.DataFrame(
    {
        "track_id": ["b", "a", "c", "d"],
        "artist_id": ["x", "y", None, "x"],
        "title": ["B", "A", "C", None],
        "artist_names": [["X"], ["Y"], [], ["X"]],
    },
    schema_overrides={"artist_names": pl.List(pl.String)},
)
PLAYS = pl.DataFrame({"track_id": ["c", "c", "a", "b"]})


def test_codes_are_by_plays_then_by_id() -> None:
    vocabulary = Vocabulary.build(TRACKS, PLAYS)
    assert vocabulary.track_ids_V.tolist() == ["", "", "c", "a", "b", "d"]
    assert vocabulary.encode(["d", "c", "missing"]).tolist() == [5, 2, 1]


def test_artists_have_codes_and_missing_artists_are_unknown() -> None:
    vocabulary = Vocabulary.build(TRACKS, PLAYS)
    artist_of = dict(zip(vocabulary.track_ids_V.tolist(), vocabulary.artist_of_track_V.tolist(), strict=True))
    assert artist_of["c"] == 1
    assert artist_of["b"] == artist_of["d"] != artist_of["a"]
    assert [vocabulary.describe(vocabulary.track_code[track]) for track in "bd"] == ["B by X", "a track by X"]


def test_other_ids_of_a_track_have_its_code() -> None:
    vocabulary = Vocabulary.build(TRACKS, PLAYS, aliases={"other": "a", "a": "b", "of nothing": "gone"})
    assert vocabulary.encode(["other", "a", "of nothing"]).tolist() == [3, 3, 1]
    assert vocabulary.encoders()["track_id"]["other"] == 3
    assert [vocabulary.canonical_id(track) for track in ("other", "a", "gone")] == ["a", "a", "gone"]
