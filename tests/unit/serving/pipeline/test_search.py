"""Search of the service: filters, reasons, the user's taste, what was understood, and what has the name."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from recommender.catalog.collections import Collections
from recommender.search.track_search import Match
from recommender.slate.filters import Exclusions, FilterContext
from recommender.user.user_batch import user_batch_from_online
from serving.pipeline.search import limit_artists, search
from serving.response_rendering import render_search
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.release_search import with_search
from tests.support.serving.small_release import CONTRACT, history, release, tracks


def answer(query, limit=10, exclusions=Exclusions(), listened=(), collection_channels=None, **columns):  # noqa: B008
    table = tracks(6, **columns)
    served = replace(with_search(release(table, []), table), collection_channels=collection_channels or {})
    context = FilterContext(served.catalog, exclusions, served.vocabulary.track_code, NOW, territory="")
    users = user_batch_from_online(served.vocabulary, CONTRACT, ["u"], np.array([NOW]), sequences=[history(*listened)])
    return search(query, limit, served, context, users if listened else None)


def found(query, **options):
    return [one.track_id for one in answer(query, **options).results]


def test_empty_query_returns_the_most_played_tracks():
    assert found("") == [f"t{n}" for n in range(6)]
    assert found("  ", limit=2) == ["t0", "t1"]


def test_no_reason_says_most_played_of_a_track_without_listens():
    reasons = [one.reason for one in answer("", listens_total=[1, 0, *[None] * 4]).results]
    assert [reason is None for reason in reasons] == [False, True, *[False] * 4]


@pytest.mark.parametrize(
    ("unplayable", "left_out"),
    [
        pytest.param({"is_in_catalog": [False, *[True] * 5]}, {"t0"}, id="withdrawn"),
        pytest.param({"territories": [["DE"], *[None] * 5]}, {"t0"}, id="another territory"),
        pytest.param({"recording_id": ["r", "r", *[None] * 4]}, {"t1"}, id="another release of a recording"),
        pytest.param({"exclusions": Exclusions(track_ids=frozenset({"t0"}))}, {"t0"}, id="blocked track"),
        pytest.param({"exclusions": Exclusions(artist_ids=frozenset({"a0"}))}, {"t0", "t1"}, id="blocked artist"),
    ],
)
@pytest.mark.parametrize("query", ["sad", "song"])
def test_unplayable_tracks_are_not_found(query, unplayable, left_out):
    assert found(query, emotions=[["sad"]] * 6, **unplayable) == [f"t{n}" for n in range(6) if f"t{n}" not in left_out]


def test_the_taste_of_the_user_decides_between_equal_matches():
    columns = {"emotions": [["sad"]] * 6, "styles": [["rock"], ["jazz"], ["rock"], ["jazz"], ["rock"], ["rock"]]}
    assert found("sad", **columns)[0] == "t0"
    assert found("sad", listened=("t3",), **columns)[:2] == ["t1", "t3"]


@pytest.mark.parametrize(
    ("query", "found", "understood", "unmet"),
    [
        ("jazz for tea", ["t1", "t2", "t3", "t4", "t5"], ["facet jazz", "facet tea"], {}),
        (
            "rock for tea at night, qqqzz",
            ["t0"],
            ["facet rock", "facet tea", "facet night"],
            {"words": "qqqzz", "facets": "5 of 6"},
        ),
        ("no rock", ["t1"], ["no facet rock"], {}),
        ("jazz from the 80s", ["t1"], ["facet jazz"], {"period": "from that time: 80s"}),
        ("jazz of 2011", ["t1"], ["facet jazz", "period of 2011"], {}),
        ("artist 1 of 2011", ["t2", "t3"], ["name Artist 1"], {"period": "2011"}),
        ("xylophone", ["t0"], ["words xylophone"], {}),
        ("qqqzz", [], [], {"words": "qqqzz"}),
        ("artist 2", ["t4", "t5"], ["name Artist 2"], {}),
    ],
)
def test_parts_of_a_query_that_are_understood_and_met(query, found, understood, unmet):
    columns = {
        "styles": [["rock"], *[["jazz"]] * 5],
        "scenes": [["night", "tea"]] * 6,
        "lyrics": ["a xylophone", *[None] * 5],
        "released_on": [date(2011, 5, 1)] * 2 + [date(2020, 1, 1)] * 4,
    }
    rendered = render_search(answer(query, limit=20, **columns), "en").model_dump()
    assert [one["track_id"] for one in rendered["items"]][: len(found) or None] == found
    parts = [f"{'no ' * one['is_excluded']}{one['kind']} {one['text']}" for one in rendered["understood"]]
    assert parts == understood
    stated = rendered.get("unmet", {})
    assert stated.keys() == unmet.keys() and all(text in stated[part] for part, text in unmet.items())


@pytest.mark.parametrize(
    ("fields", "partial", "expected", "exceeding"),
    [
        ([""] * 8, 0, [0, 2, 4, 6, 1], 1),  # there are only four artists
        ([""] * 8, 6, [0, 2, 4, 1, 3], 2),  # a song that lacks what was asked for is no replacement
        (["artist"] * 4 + [""] * 4, 0, [0, 1, 2, 3, 4], 0),  # the query names the artist
        (["title"] * 8, 0, [0, 2, 4, 6, 1], 1),
    ],
)
def test_artists_share_the_results(fields, partial, expected, exceeding):
    catalog = release(tracks(8), []).catalog
    matches = [
        Match(n + 2, 1.0, name_field=field, is_partial=bool(partial) and n >= partial) for n, field in enumerate(fields)
    ]
    chosen, number = limit_artists(matches, 5, 1, catalog)
    assert [match.item - 2 for match in chosen] == expected and number == exceeding
    assert [match.item - 2 for match in limit_artists(matches, 20, 3, catalog)[0]][:8] == list(range(8))


@pytest.mark.parametrize(
    ("query", "artists", "albums", "playlists"),
    [
        ("artist 1", ["a1"], [], []),
        ("arti", ["a0", "a1", "a2"], [], []),  # the beginning of a word
        ("artsit 2", ["a2"], [], []),
        ("golden", [], ["l1"], ["p2"]),
        ("goldn lantern", [], ["l1"], []),
        ("the golden morning", [], [], ["p2"]),
        ("金色", [], ["l2"], []),
        ("qqqzz", [], [], []),
    ],
)
def test_artists_albums_and_playlists_with_the_name(query, artists, albums, playlists):
    columns = {
        "album_id": ["l1", "l1", "l2", "l2", None, None],
        "album_title": ["Golden Lantern"] * 2 + ["金色的海"] * 2 + [None] * 2,
    }
    table = Collections.from_rows("playlist", [("p1", "Morning run", [2]), ("p2", "The Golden Morning", [2])])
    columns["collection_channels"] = {"playlists": SimpleNamespace(collections=table)}
    named = answer(query, **columns).named
    assert [sorted(one.artist_id for one in named["artists"]), [one.album_id for one in named["albums"]]] == [
        artists,
        albums,
    ]
    assert [one.playlist_id for one in named["playlists"]] == playlists
    assert all(one.track_count == 2 for one in named["artists"])
    blocked = Exclusions(artist_ids=frozenset({"a0", "a1", "a2"}), collections=frozenset({("playlist", "p2")}))
    assert not any(answer(query, exclusions=blocked, **columns).named.values())
