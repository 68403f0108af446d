"""A scene is one row: adding it to the table is enough for the API, its documentation and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.errors import RequestRejected
from serving.http import openapi
from serving.pipeline.request import read_request
from serving.service import Recommender
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, release, tracks
from training.slate.scene_settings import SCENES, Scene

WORKOUT = Scene(name="workout", limit=4, max_limit=8, max_per_artist=1)


def document() -> dict[str, Any]:
    return openapi.build_openapi_document(Recommender.apis)


def test_a_new_row_appears_in_openapi_and_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "workout" not in document()["info"]["description"]
    with pytest.raises(RequestRejected, match="'workout' is not one of"):
        read_request("u", "workout", None, NOW)

    monkeypatch.setitem(SCENES, "workout", WORKOUT)

    assert "| `workout` | tracks | 4 | 8 |" in document()["info"]["description"]
    bench = Bench(tmp_path)
    response = bench.answer(release(tracks(8), [ListChannel("popularity", range(2, 10))]), scene="workout", limit=None)
    assert [item.track_id for item in response.items] == ["t0", "t2", "t4", "t6"]  # t0 and t1 are of one artist
    with pytest.raises(RequestRejected, match="limit 9 is not between 1 and 8"):
        read_request("u", "workout", 9, NOW)
