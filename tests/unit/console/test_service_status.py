"""Degraded parts that the console finds: missing marts, an old release."""

from datetime import UTC, datetime

import httpx
import pytest

from console.releases import Release, ReleaseState, find_active, list_releases
from console.service_status import find_degraded_parts, missing_marts, old_release
from tests.support import console_home


@pytest.fixture
def here(here):
    return here.model_copy(update={"recommender_port": 9})  # nothing listens there


def release(**manifest):
    return Release("one", manifest, ReleaseState(""))


def test_marts_of_the_release_that_are_no_longer_published_are_named(here):
    trained = release(marts={"events": "1", "plays": "2"})
    here.marts.mkdir(parents=True)
    (here.marts / "events.parquet").touch()
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


def test_degraded_parts_are_found_without_a_recommender(here):
    console_home.write_reports(here)
    active = find_active(list_releases(here))
    assert active is not None
    assert [part["part"] for part in find_degraded_parts(here, active)] == ["marts", "release"]
    assert find_degraded_parts(here, None) == []
