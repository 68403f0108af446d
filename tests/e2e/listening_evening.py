"""An evening of a new listener in a browser, called by `test_pipeline.py`: each action is checked against its event and the
next answer.
"""

import json
from collections import Counter
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.listening_page import choose, collect_events, expect_answer, ids, is_answer, part, player_of, report
from tests.support import browser


def check_evening(url: str) -> None:
    """An evening of a new listener; each action is checked against its event and the next answer."""
    with browser.open_page(viewport={"width": 1280, "height": 860}, reduced_motion="reduce") as page:
        events = collect_events(page)
        page.goto(url)
        picks = page.locator(".picks button")
        expect(page.locator(".listener .tile-sub").first).not_to_be_empty()
        assert browser.accessibility_violations(page) == []
        for place in range(3):
            picks.nth(place).click()
        with expect_answer(page, scene="daily") as daily:
            page.get_by_role("button", name="Begin", exact=True).click()
        user = events[0]["user_id"]
        assert user.startswith("guest-")
        picked = [event["target_id"] for event in events[:3]]
        assert [event["action"] for event in events[:3]] == ["like"] * 3 and len(set(picked)) == 3
        expect(page.locator(".song").first).to_be_visible()
        assert len(ids(daily.value.json())) > 10
        _search_beyond_the_catalog(page)
        _skip_three_times(page, events)
        _control_an_interest(page, events)
        _listen_in_private(page, events, user)
        _follow_a_path(page)
        _download_and_erase(page, user)


def _search_beyond_the_catalog(page: Page) -> None:
    page.get_by_role("link", name="Search", exact=True).first.click()
    with page.expect_response("**/search") as unknown:
        page.get_by_role("searchbox").fill("asdfghjkl")
    assert "asdfghjkl" in unknown.value.json()["unmet"]["words"]
    expect(page.get_by_role("search")).to_contain_text("Nothing found")
    expect(page.locator(".song")).to_have_count(0)
    with page.expect_response("**/search") as found:
        page.get_by_role("searchbox").fill("driving")
    assert max(Counter(item["artist_ids"][0] for item in found.value.json()["items"]).values()) <= 3


def _skip_three_times(page: Page, events: list[dict]) -> None:
    answers = []  # several, because shelves of the home request the scene, too
    page.on("response", lambda response: answers.append(response) if is_answer(response, scene="private_fm") else None)
    with expect_answer(page, scene="private_fm"):
        page.get_by_role("link", name="Radio", exact=True).click()
    page.get_by_role("button", name="Start the radio").click()
    for number in range(3):
        playing = player_of(page).locator(".title").inner_text()
        artist = player_of(page).locator(".artists a").first.inner_text()
        with expect_answer(page, scene="private_fm") as answer:
            player_of(page).get_by_role("button", name="Next").click()
        skip = events[-1]
        assert skip["action"] == "play" and skip["scene"] == "private_fm" and skip["played_ms"] < 30_000
        if number == 0:
            listed = {one["request_id"]: ids(one) for one in (response.json() for response in answers)}
            assert skip["position"] == 0 and skip["target_id"] == listed[skip["request_id"]][0]
        following = answer.value.json()["items"]
        assert skip["target_id"] not in [item["track_id"] for item in following], f"{playing} was skipped"
        assert artist not in [name for item in following for name in item["artists"]], "a skipped artist rests"
    expect(page.locator(".changed")).not_to_be_empty()
    player_of(page).get_by_role("button", name="Pause").click()  # further songs would change the taste


def _control_an_interest(page: Page, events: list[dict]) -> None:
    with page.expect_response("**/taste"):
        page.get_by_role("link", name="Your taste").first.click()
    name = page.locator(".interest").first.locator("h3").inner_text()

    def press(label: str, action: str) -> dict:
        """The interest of the card in the answer after its event."""
        with page.expect_response("**/taste") as answer:
            page.get_by_role("button", name=label).click()
        assert part(events[-1], "target_type", "action") == {"target_type": "interest", "action": action}
        interest = events[-1]["target_id"].partition("=")[0]
        found = [one for one in answer.value.json()["interests"] if one["interest_id"] == interest]
        return found[0] if found else {}

    page.get_by_role("button", name=f"Rename: {name}").click()
    page.get_by_role("textbox", name="Name of this interest").fill("Late nights")
    assert press("Save", "rename")["name"] == "Late nights"
    assert press("Pause: Late nights", "exclude")["is_paused"]
    assert not press("Resume: Late nights", "unexclude")["is_paused"]
    assert press("Remove: Late nights", "reset") == {}
    restored = press("Count again: Late nights", "unreset")
    assert restored["name"] == "Late nights" and restored["share"] > 0
    assert browser.accessibility_violations(page) == []


def _listen_in_private(page: Page, events: list[dict], user: str) -> None:
    switch = page.get_by_role("switch", name="Private session")
    with page.expect_response("**/taste") as taste:
        switch.click()
    assert part(events[-1], "target_type", "action") == {"target_type": "session", "action": "start_private"}
    since_us = taste.value.json()["private_session"]["since_us"]
    expect(switch).to_have_attribute("aria-checked", "true")
    page.get_by_role("link", name="Home", exact=True).click()
    page.locator(".song .start").first.click()
    with page.expect_response("**/events") as reported:
        player_of(page).get_by_role("button", name="Next").click()
    assert events[-1]["action"] == "play" and reported.value.json()["private"] == 1
    with page.expect_response("**/listener") as listener:
        page.get_by_role("link", name="Your library", exact=True).click()
        page.get_by_role("link", name="History", exact=True).click()
    assert listener.value.request.post_data_json == {"user_id": user}
    recorded = [event["ended_at"] for event in listener.value.json()["events"]]
    assert recorded and max(recorded) < since_us
    report(page, page.get_by_role("button", name="End", exact=True))
    assert part(events[-1], "target_type", "action") == {"target_type": "session", "action": "end_private"}
    expect(page.locator(".private-note")).to_have_count(0)


def _follow_a_path(page: Page) -> None:
    page.get_by_role("link", name="Home", exact=True).click()
    choose(page, page.locator(".song").first.get_by_role("button", name="More"), "Play from here to")
    with page.expect_response("**/search") as found:
        page.get_by_role("searchbox").fill("night")
    end = next(item for item in found.value.json()["items"] if item["track_id"] not in page.url)
    with page.expect_response("**/path") as path:
        page.locator(".found a").filter(has_text=end["title"]).first.click()
    listed = ids(path.value.json())
    assert len(listed) > 2 and listed[-1] == end["track_id"]
    expect(page.locator(".song")).to_have_count(len(listed))


def _download_and_erase(page: Page, user: str) -> None:
    """The file has the events of the evening; `/erase` is answered by hand, because an erasure is tested elsewhere."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="中文").click()
    page.get_by_role("link", name="我的口味").last.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载我的数据").click()
    stored = json.loads(Path(download.value.path()).read_text())
    assert stored["user_id"] == user
    assert {"like", "play", "exclude", "rename", "start_private", "end_private"} <= {
        event["body"]["action"] for event in stored["stores"]["events"]
    }
    assert browser.accessibility_violations(page) == []
    page.route("**/erase", lambda route: route.fulfill(json={"user_id": user, "is_erasing": True}))
    page.get_by_role("button", name="删除我的数据").click()
    expect(page.get_by_role("alertdialog").get_by_role("button", name="取消")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    page.get_by_role("button", name="删除我的数据").click()
    with page.expect_request("**/erase") as request:
        page.get_by_role("button", name="永久删除").click()
    assert request.value.post_data_json == {"user_id": user, "confirm": user}
    expect(page.locator(".notice")).to_be_visible()
    expect(page.locator(".picks button").first).to_be_visible()
    assert user not in page.url
