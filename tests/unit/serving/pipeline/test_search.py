"""Track search of the service: filters, reasons, the user's taste."""

import numpy as np

from recommender.slate.filters import Exclusions, FilterContext
from recommender.user.user_batch import user_batch_from_online
from serving.pipeline.search import search
from serving.response_rendering import render_search
from tests.support.serving.release_search import with_search
from tests.support.serving.small_release import CONTRACT, history, release, tracks

NOW = 1_800_000_000_000_000


def answer(query, limit=10, exclusions=Exclusions(), listened=(), **columns):  # noqa: B008
    table = tracks(6, **columns)
    served = with_search(release(table, []), table)
    context = FilterContext(served.catalog, exclusions, served.vocabulary.track_code, NOW, territory="")
    users = None
    if listened:
        views = {name: rows for name, rows in history(*listened).items() if name in CONTRACT.sequence_views}
        users = user_batch_from_online(
            served.vocabulary, CONTRACT, ["u"], np.array([NOW]), sequences=[views], scenes=[""]
        )
    return search(query, limit, served, context, users)


def results(query, **options):
    return answer(query, **options).results


def found(query, **options):
    return [one.track_id for one in results(query, **options)]


def test_empty_query_returns_the_most_played_tracks():
    assert found("") == [f"t{n}" for n in range(6)]
    assert found("  ", limit=2) == ["t0", "t1"]


def test_no_reason_says_most_played_of_a_track_without_listens():
    reasons = [one.reason for one in results("", listens_total=[1, 0, *[None] * 4])]
    assert [reason is None for reason in reasons] == [False, True, *[False] * 4]


def test_unplayable_tracks_are_not_found():
    emotions = [["sad"]] * 6
    for query in ("sad", "song"):
        for unplayable in (
            {"is_in_catalog": [False, *[True] * 5]},
            {"territories": [["DE"], *[None] * 5]},
            {"exclusions": Exclusions(track_ids=frozenset({"t0"}))},
        ):
            assert found(query, emotions=emotions, **unplayable) == [f"t{n}" for n in range(1, 6)]
        assert found(query, emotions=emotions, recording_id=["r", "r", *[None] * 4]) == ["t0", "t2", "t3", "t4", "t5"]
        artist = Exclusions(artist_ids=frozenset({"a0"}))
        assert found(query, emotions=emotions, exclusions=artist) == ["t2", "t3", "t4", "t5"]


def test_the_taste_of_the_user_decides_between_equal_matches():
    columns = {"emotions": [["sad"]] * 6, "styles": [["rock"], ["jazz"], ["rock"], ["jazz"], ["rock"], ["rock"]]}
    assert found("sad", **columns)[0] == "t0"
    assert found("sad", listened=("t3",), **columns)[:2] == ["t1", "t3"]


def test_parts_of_the_query_that_are_not_met():
    columns = {"styles": [["rock"], *[["jazz"]] * 5], "scenes": [["night", "tea"]] * 6}
    assert answer("jazz for tea at night", limit=5, **columns).unmet == {}
    few = answer("rock for tea at night, qqqzz", limit=5, **columns)
    assert few.results[0].track_id == "t0" and set(few.unmet) == {"words", "facets"}
    assert "qqqzz" in few.unmet["words"] and few.unmet["facets"].startswith("4 of 5 tracks")
    assert render_search(few, "en").model_dump()["unmet"] == few.unmet
    assert "unmet" not in render_search(answer("jazz", **columns), "en").model_dump()
