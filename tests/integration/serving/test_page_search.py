"""The search boxes of the listening page, in Chromium, with answers made by hand."""

import json
import threading

import pytest
import uvicorn
from playwright.sync_api import expect
from starlette.responses import PlainTextResponse

from local.ports import free_port
from serving.http.static_page import ListeningPage
from tests.support import browser

WHY = "because it is quiet · night"
SONG = {"track_id": "t1", "title": "Silver River", "artists": ["Anna"], "duration_ms": 0, "score": 2.0, "reason": WHY}
ANSWERS = {
    "search": {"items": [SONG]},
    "listeners": {"user_ids": ["u1"]},
    "listener": {
        "user_id": "u1", "is_known": False, "release": "r1", "events": [], "interests": [], "short_term": None, "long_term": None
    },
    "recommend": {"request_id": "q1", "release": "r1", "items": []},
    "events": {"accepted": 1, "duplicate": 0, "rejected": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def url():
    port = free_port()
    app = ListeningPage(PlainTextResponse("", status_code=404))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


def answer_by_hand(page):
    """Bodies of the requests by path."""
    asked = {path: [] for path in ANSWERS}

    def answer(route):
        path = route.request.url.rpartition("/")[2]
        asked[path].append(json.loads(route.request.post_data))
        route.fulfill(json=ANSWERS[path])

    for path in ANSWERS:
        page.route(f"**/{path}", answer)
    page.route("**/favicon.ico", lambda route: route.fulfill(body=""))
    return asked


def test_a_listener_searches_and_plays_what_was_found(url):
    with browser.open_page(locale="en-US") as page:
        asked = answer_by_hand(page)
        page.goto(f"{url}?user=u1")
        page.get_by_role("searchbox").fill("something calm for the night")
        expect(page.locator(".found .why")).to_have_text(WHY)
        assert asked["search"][-1] == {
            "query": "something calm for the night", "language": "en", "limit": 12, "user_id": "u1"
        }  # fmt: skip
        assert browser.accessibility_violations(page) == []
        page.locator(".found button").click()
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text("Silver River")
        player.get_by_role("button", name="Like").click()
        expect(player).to_contain_text("Silver River")
        assert asked["events"] and all("request_id" not in event for event in asked["events"][0]["events"])


def test_a_new_listener_sees_reasons_of_a_query_only(url):
    with browser.open_page(locale="zh-CN") as page:
        asked = answer_by_hand(page)
        page.goto(url)
        expect(page.locator(".found button")).to_have_count(1)
        expect(page.locator(".found .why")).to_have_count(0)
        with page.expect_response("**/search"):
            page.get_by_role("searchbox").fill("放点安静的歌")
        expect(page.locator(".found .why")).to_have_text(WHY)
        assert asked["search"][-1] == {"query": "放点安静的歌", "language": "zh", "limit": 12}
