"""Paths between two tracks: ends, filters, exposures and rejected requests."""

import numpy as np
import pytest

from serving.errors import NoItemVectors, NotReady, RequestRejected, UnknownTrack
from serving.messages import render_reason
from serving.pipeline.request import read_path
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import CircleChannel, ListChannel, excluded, release, tracks

COUNT = 9


def served(channel=None, **columns):
    return release(
        tracks(COUNT, **{"artist_ids": [[f"a{n}"] for n in range(COUNT)]} | columns),
        [channel or CircleChannel("realtime", [], COUNT)],
    )


def path(bench, of, first="t0", last="t8", length=5, user_id=None, **policy):
    return bench.path.recommend(read_path(first, last, length, user_id, NOW, **policy), of)


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [
        pytest.param({}, {"first": "t8", "last": "t0", "length": 3}, ["t8", "t4", "t0"], id="backwards"),
        pytest.param({}, {"length": 2}, ["t0", "t8"], id="the ends only"),
        pytest.param(
            {"is_in_catalog": [n != 4 for n in range(COUNT)]},
            {"length": 3},
            ["t0", "t3", "t8"],
            id="not in the catalog",
        ),
        pytest.param(
            {"recording_id": ["x", None, None, None, "x", "y", None, None, "y"]},
            {"length": 9},
            ["t0", "t1", "t2", "t3", "t6", "t7", "t8"],
            id="each recording once",
        ),
        *(
            pytest.param(columns, wanted, ["t0", *found, "t8"], id=f"{name} {found}")
            for name, columns, cases in (
                (
                    "explicit",
                    {"is_explicit": [n == 4 for n in range(COUNT)]},
                    [({}, ["t4"]), ({"is_explicit_wanted": False}, ["t3"])],
                ),
                (
                    "territory",
                    {"territories": [["DE"] if n == 4 else [] for n in range(COUNT)]},
                    [({"territory": "DE"}, ["t4"]), ({}, ["t3"])],
                ),
            )
            for wanted, found in ((wanted | {"length": 3}, found) for wanted, found in cases)
        ),
    ],
)
def test_a_path_has_its_ends_and_playable_tracks_evenly_between(bench, columns, wanted, expected):
    assert ids(path(bench, served(**columns), **wanted)) == expected


def test_items_of_a_path_have_the_similarity_to_the_one_before_and_a_reason(bench):
    answer = path(bench, served())
    assert ids(answer) == ["t0", "t2", "t4", "t6", "t8"]
    assert [item.score for item in answer.items] == pytest.approx([1.0, *[np.cos(np.pi / 8)] * 4], abs=1e-5)
    between = ["because it leads from Song 0 by Artist 0 to Song 8 by Artist 4"] * 3
    chosen = ["because you chose it"]
    assert [render_reason(item.reason, "en") for item in answer.items] == chosen + between + chosen


def test_blocked_tracks_of_the_user_are_left_out_and_exposures_recorded(bench):
    bench.store.users["u"] = excluded(("track", "t4"), ("artist", "a2"))
    answer = path(bench, served(), user_id="u")
    assert not {"t4", "t2"} & set(ids(answer)) and len(answer.items) == 5
    path(bench, served())
    assert [record["request_id"] for record in bench.exposures()] == [answer.request_id]


@pytest.mark.parametrize(
    ("of", "wanted", "error", "message"),
    [
        (served(), {"user_id": "u"}, RequestRejected, r"to 't8' may not be played \(filter excluded_tracks\)"),
        (
            served(recording_id=["x", *[None] * 7, "x"]),
            {},
            RequestRejected,
            "'t0' and to 't8' are releases of one recording",
        ),
        (served(), {"last": "no"}, UnknownTrack, "track 'no' is not in release r1"),
        (served(ListChannel("popularity", [2])), {}, NoItemVectors, "has no channel with item vectors; train realtime"),
        (served(ListChannel("realtime", [2])), {}, NotReady, "channel realtime did not respond"),
    ],
)
def test_paths_that_are_not_possible(bench, of, wanted, error, message):
    bench.store.users["u"] = excluded(("track", "t8"))
    with pytest.raises(error, match=message):
        path(bench, of, **wanted)
