"""Rendering of responses: all fields, in the requested language, without modifying the response."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import pytest

from recommender.recall.reason import Reason
from serving.pipeline.response import RecommendationResponse, ResponseItem, Trace
from serving.response_rendering import render_recommendation

TRACK = {
    "track_id": "t1", "title": "One", "artists": ["A", "B"], "artist_ids": ["a", "b"], "album_id": None, "album": "",
    "duration_ms": 1000, "facets": ["rock"], "audio_url": "https://host/1", "cover_url": None
}  # fmt: skip
SENT = {name: value for name, value in TRACK.items() if value}
"""Fields that are unknown are absent."""


@pytest.mark.parametrize("release", ["r1", "r0"])
@pytest.mark.parametrize(
    ("kind", "details", "expected"),
    [
        ("track", TRACK, SENT),
        *(
            (
                kind,
                {f"{kind}_id": "x", "title": "P", "track_count": 1, "tracks": [TRACK]},
                {f"{kind}_id": "x", "title": "P", "track_count": 1, "tracks": [SENT]},
            )
            for kind in ("playlist", "mlog")
        ),
    ],
    ids=["track", "playlist", "mlog"],
)
def test_rendering_keeps_all_fields_and_does_not_modify_the_response(
    kind: str, details: dict[str, Any], expected: dict[str, Any], release: str
) -> None:
    shown = ResponseItem((kind, "x"), details, 0.5, ["realtime"], Reason("listened_before"), release=release)
    answer = RecommendationResponse(
        "id", "r1", [shown], Trace("r1", 0.3, stage_ms={"recall": 1.0}, removed={"explicit": 2}), "arm"
    )
    before = copy.deepcopy(answer)
    sent = render_recommendation(answer, "zh", True).model_dump()
    assert answer == before
    assert sent["trace"] == asdict(answer.trace)
    earlier = {"release": "r0"} if (kind, release) == ("track", "r0") else {}
    assert sent["items"] == [expected | earlier | {"score": 0.5, "channels": ["realtime"], "reason": "因为你听过它"}]
    assert "trace" not in render_recommendation(answer, "en", False).model_dump()
