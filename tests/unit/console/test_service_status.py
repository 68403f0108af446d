"""Degraded parts that the console finds: an old release, a refusal."""

from datetime import UTC, datetime

import httpx
import pytest

from console.releases import Release, ReleaseState
from console.service_status import find_degraded_parts, old_release


@pytest.fixture
def here(here):
    return here.model_copy(update={"recommender_port": 9})  # nothing listens there


def release(**manifest):
    return Release("one", manifest, ReleaseState(""))


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
