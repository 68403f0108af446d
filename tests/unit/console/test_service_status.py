"""Degraded parts that the console finds: parts left out of recent answers, missing marts, an old release."""

from datetime import UTC, datetime

import httpx
import pytest

from console.releases import Release, ReleaseState
from console.service_status import find_degraded_parts, missing_marts, old_release, skipped_parts
from storage.files import atomic_write


@pytest.fixture
def here(here):
    return here.model_copy(update={"recommender_port": 9})  # nothing listens there


def release(**manifest):
    return Release("one", manifest, ReleaseState(""))


def sample(time_s, requests, **skipped):
    return {"time_s": time_s, "requests": requests, "error_share": 0.0, "skipped": skipped}


RECENT = [sample(100, 1000, realtime=1000), sample(900, 100, realtime=3), sample(905, 300, realtime=2, ranker=3)]


@pytest.mark.parametrize(
    ("samples", "now_s", "expected"),
    [
        (RECENT, 1000, {"realtime": "left out of 5 of 400 answers of the last five minutes"}),
        (RECENT, 2000, {}),
        ([sample(900, 100) | {"error_share": share} for share in (None, 0.03)], 1000, {"errors": "3 of 200"}),
    ],
    ids=["one percent", "long ago", "errors"],
)
def test_what_is_left_out_of_one_percent_of_the_recent_answers_is_degraded(samples, now_s, expected):
    found = {part["part"]: part["why"] for part in skipped_parts(samples, now_s)}
    assert found.keys() == expected.keys()
    assert [part for part, text in expected.items() if text not in found[part]] == []


def test_marts_of_the_release_that_are_no_longer_published_are_named(here):
    trained = release(marts={"events": "1", "plays": "2"})
    atomic_write(here.marts / "events.parquet", "")
    assert missing_marts(trained, here)[0]["why"] == "missing: plays; run the DAG build_features"
    (here.marts / "plays.parquet").touch()
    assert missing_marts(trained, here) == []


@pytest.mark.parametrize(("as_of", "is_old"), [("2026-06-10", False), ("2026-06-09", True), ("", False)])
def test_a_release_is_old_after_four_days(as_of, is_old):
    found = old_release(release(as_of=as_of), datetime(2026, 6, 14, 12, tzinfo=UTC))
    assert [part["part"] for part in found] == ["release"] * is_old


@pytest.mark.parametrize("status", [401, 403])
def test_a_recommender_that_refuses_the_console_is_degraded(here, monkeypatch, status):
    request = httpx.Request("GET", "http://recommender/status")
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(status, request=request))
    (part,) = find_degraded_parts(here, None)
    assert part["part"] == "status"
    assert part["why"].startswith(f"the recommender refuses the console ({status})")
    assert "SEGUE_API_KEYS" in part["why"]
