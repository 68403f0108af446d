"""Rendering of responses: all fields, in the requested language, without modifying the response."""

from __future__ import annotations

import copy
from dataclasses import asdict

import pytest

from serving.pipeline.response import (
    CollectionItem,
    RecommendationResponse,
    ResponseItem,
    Trace,
    TrackItem,
)
from serving.releases.track_details import TrackDetails
from serving.response_rendering import render_recommendation
from training.recall.reason import Reason

REASON = Reason("listened_before")
TRACKS = [
    TrackDetails(track_id="t1", title="One", artists=["A", "B"], duration_ms=1000, audio_url="https://host/1"),
    TrackDetails(track_id="t2", title="Two", artists=[], facets=["rock"]),
]


def item(release: str) -> TrackItem:
    return TrackItem(
        track_id="t1", title="One", artists=["A"], artist_ids=["a"], duration_ms=1000, score=0.5,
        channels=["realtime"], reason=REASON, release=release
    )  # fmt: skip


@pytest.mark.parametrize(
    "shown",
    [
        item("r1"),
        item("r0"),
        CollectionItem(target=("playlist", "p"), title="P", score=0.5, channels=[], reason=REASON, tracks=TRACKS),
        CollectionItem(target=("mlog", "m"), title="M", score=0.5, channels=[], reason=REASON, tracks=TRACKS),
    ],
    ids=["track", "track of an earlier release", "playlist", "mlog"],
)
def test_rendering_keeps_all_fields_and_does_not_modify_the_response(shown: ResponseItem) -> None:
    answer = RecommendationResponse(
        "id", "r1", [shown], Trace("r1", 0.3, stage_ms={"recall": 1.0}, removed={"explicit": 2}), "arm"
    )
    before = copy.deepcopy(answer)
    sent = render_recommendation(answer, "zh", True).model_dump()
    assert answer == before
    assert sent["trace"] == asdict(answer.trace)
    (item_sent,) = sent["items"]
    expected = asdict(shown) | {"reason": "因为你听过它"}
    del expected["propensity"], expected["is_exploration"]
    if target := expected.pop("target", None):
        expected[f"{target[0]}_id"] = target[1]
    if expected.pop("release") == "r0":
        expected["release"] = "r0"
    for one in [expected, *expected.get("tracks", [])]:
        for name in ("audio_url", "cover_url", "album_id", "album"):
            if name in one and not one[name]:  # absent if unknown
                del one[name]
    assert item_sent == expected
    assert "trace" not in render_recommendation(answer, "en", False).model_dump()
