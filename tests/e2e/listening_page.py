"""Browser checks of the listening page, called by `test_pipeline.py` with its service."""

import base64
import re
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from tests.support import browser

PHONE = {"width": 390, "height": 844}
OWN_LISTENS = re.compile(r"you have listened to it (before|once|\d+ times)")
PIXEL = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAA=")


def open_listener(page: Page, url: str, user_id: str, place: str = "") -> None:
    page.goto(f"{url}/?user={user_id}#/{place}")
    expect(page.locator(".song").first).to_be_visible()


def collect_events(page: Page) -> list[dict]:
    """Events that the page reports, in order; the list grows."""
    events: list[dict] = []
    page.on(
        "request",
        lambda request: events.extend(request.post_data_json["events"]) if request.url.endswith("/events") else None,
    )
    return events


@contextmanager
def expect_answer(page: Page, scene: str):
    """The next recommendations of the service that the page requests for a scene."""
    with page.expect_response(lambda response: is_answer(response, scene)) as response:
        yield response


def is_answer(response, scene: str) -> bool:
    """Whether a response has recommendations for a scene."""
    return response.url.endswith("/recommend") and response.request.post_data_json.get("scene") == scene


def report(page: Page, part: Locator) -> None:
    """Click a part of the page, and wait until the page has reported the event."""
    with page.expect_response("**/events"):
        part.click()


def player_of(page: Page):
    return page.get_by_role("region", name="Now playing")


def ids(listed: dict) -> list[str]:
    return [item["track_id"] for item in listed["items"]]


def part(event: dict, *names: str) -> dict:
    return {name: event.get(name) for name in names}


def choose(page: Page, menu, item: str | re.Pattern) -> None:
    """Open the menu behind a button and choose an item."""
    menu.click()
    page.get_by_role("menuitem", name=item).click()


def check_playlists_open_and_play(url: str, user_id: str) -> None:
    """Opening a playlist is a click on it; the page has all of its songs, which are played with it as context, after a reload, too."""
    with browser.open_page() as page:
        events = collect_events(page)
        with expect_answer(page, scene="playlists") as answer:
            page.goto(f"{url}/?user={user_id}#/playlists")
        listed = answer.value.json()
        first = listed["items"][0]
        target, count = first["playlist_id"], first["track_count"]
        assert count > len(first["tracks"])
        tile = page.locator(".tile").first
        expect(tile).to_contain_text(f"{count} songs")
        assert browser.accessibility_violations(page) == []
        report(page, tile.locator("a"))
        assert part(events[-1], "target_type", "target_id", "action", "request_id", "position") == {
            "target_type": "playlist",
            "target_id": target,
            "action": "click",
            "request_id": listed["request_id"],
            "position": 0,
        }
        songs = page.locator(".songs").first.locator(".song")
        expect(songs).to_have_count(count)
        title = page.locator("h1").inner_text()
        page.reload()
        expect(songs).to_have_count(count)
        expect(page.locator("h1")).to_have_text(title)
        names = songs.locator(".title").all_inner_texts()
        songs.nth(0).locator(".start").click()
        player = player_of(page)
        report(page, player.get_by_role("button", name="Next"))
        expect(player).to_contain_text(names[1])
        assert part(events[-1], "target_type", "target_id", "action", "context_id", "request_id") == {
            "target_type": "track",
            "target_id": first["tracks"][0]["track_id"],
            "action": "play",
            "context_id": f"playlist:{target}",
            "request_id": None,  # the response contained the playlist, not the track
        }


def check_phone(url: str, user_id: str) -> None:
    """On a phone the small player opens to the whole screen, a playing row pauses, and a reload keeps queue and search."""
    with browser.open_page(viewport=PHONE, reduced_motion="reduce") as page:
        open_listener(page, url, user_id)
        row = page.locator(".song").first
        row.locator(".start").click()
        expect(row.get_by_role("button", name="Pause")).to_be_visible()
        row.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Full view").click()
        view = page.get_by_role("dialog", name="Now playing")
        assert view.bounding_box() == {"x": 0, "y": 0, "width": PHONE["width"], "height": PHONE["height"]}
        for name in ("Previous", "Play", "Next", "Why this?", "Less like this", "Queue"):
            expect(view.get_by_role("button", name=name, exact=True)).to_be_visible()
        expect(view.get_by_role("slider", name="Position")).to_be_visible()
        assert browser.accessibility_violations(page) == []
        title = view.locator(".title").inner_text()
        page.keyboard.press("Escape")
        queued = page.locator(".queue-button .count").inner_text()
        page.goto(f"{url}/?user={user_id}#/search")
        page.get_by_role("searchbox").fill("night")
        expect(page.locator(".song").first).to_be_visible()
        page.reload()
        expect(page.get_by_role("searchbox")).to_have_value("night")
        expect(page.locator(".player .title")).to_have_text(title)
        expect(page.locator(".queue-button .count")).to_have_text(queued)
        expect(page.locator(".player").get_by_role("button", name="Play", exact=True)).to_be_visible()


def check_home_repeats_nothing(url: str, user_id: str) -> None:
    """No track is twice on the page."""
    with browser.open_page(viewport={"width": 1280, "height": 860}) as page:
        with expect_answer(page, scene="daily") as daily:
            page.goto(f"{url}/?user={user_id}")
        expect(page.locator("#playlists")).to_be_visible()  # the last shelf
        page.get_by_role("button", name="Show all").click()
        tiles = page.locator(".shelf:not(:has(#playlists)) .tile")
        assert tiles.count() >= 10
        everything = ids(daily.value.json()) + tiles.evaluate_all("all => all.map((one) => one.dataset.id)")
        assert len(everything) == len(set(everything))


def check_reasons_vary(url: str, user_id: str) -> None:
    """At most a third of the reasons of the day's list only count own listens, unless nothing else found the song."""
    with browser.open_page() as page:
        with expect_answer(page, scene="daily") as daily:
            page.goto(f"{url}/?user={user_id}")
        items = daily.value.json()["items"]
        counting = [item for item in items if OWN_LISTENS.search(item["reason"])]
        assert len(counting) <= len(items) // 3 or all(len(item["channels"]) == 1 for item in counting), counting
        choose(page, page.locator(".song").first.get_by_role("button", name="More"), "Why this?")
        why = page.get_by_role("dialog", name="Why this?")
        expect(why.locator(".reason")).to_have_text(items[0]["reason"], ignore_case=True)
        expect(why.get_by_role("button", name="Less like this")).to_be_visible()


def check_traces(url: str, user_id: str) -> None:
    """A blocked artist leaves no song and no number behind, an error goes with its view, and links for developers stay hidden."""
    with browser.open_page(expected_error="404") as page:
        open_listener(page, url, user_id, "library")
        count, songs = page.locator(".segments .count").first, page.locator(".songs").first.locator(".song")
        expect(count).to_have_text(str(songs.count()))
        artist = songs.first.locator(".artists a").first.inner_text()
        by_artist = songs.filter(has_text=artist).count()
        before = songs.count()
        choose(page, songs.first.get_by_role("button", name="More"), f"Never play {artist}")
        expect(songs).to_have_count(before - by_artist)
        expect(count).to_have_text(str(before - by_artist))
        report(page, page.locator(".toast").get_by_role("button", name="Undo"))
        expect(count).to_have_text(str(before))
        page.goto(f"{url}/?user={user_id}#/playlist/unknown")
        expect(page.get_by_role("alert")).to_contain_text("unknown")
        page.get_by_role("link", name="Radio", exact=True).first.click()
        expect(page.locator("h1")).to_have_text("Radio")
        expect(page.get_by_role("alert")).to_have_count(0)
        assert page.locator("a[href*='docs']").count() == 0
        assert page.get_by_role("button", name="For developers").count() == 0


def check_keyboard(url: str, user_id: str) -> None:
    """Keys of the slider (which changes the list), Enter on a track, and the player's space, arrow and l."""
    with browser.open_page() as page:
        events = collect_events(page)
        open_listener(page, url, user_id, "radio")
        page.get_by_role("slider", name="Repeat").focus()
        with expect_answer(page, scene="private_fm") as familiar:
            page.keyboard.press("Home")
        with expect_answer(page, scene="private_fm") as new:
            page.keyboard.press("End")
        requests = [answer.value.request.post_data_json for answer in (familiar, new)]
        assert [request.get("discovery") for request in requests] == [0, 1]
        assert len({*ids(familiar.value.json()), *ids(new.value.json())}) > len(familiar.value.json()["items"])
        first = new.value.json()["items"][0]
        expect(page.locator(".song").first).to_contain_text(first["title"])
        page.locator(".song .start").first.focus()
        page.keyboard.press("Enter")
        player = player_of(page)
        expect(player).to_contain_text(first["title"])
        page.locator("h1").click()  # the player's keys work if no button has the focus
        page.keyboard.press("Space")
        expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
        with page.expect_response("**/events"):
            page.keyboard.press("l")
        assert part(events[-1], "target_id", "action")["action"] in ("like", "unlike")
        with page.expect_response("**/events"):
            page.keyboard.press("ArrowRight")
        assert part(events[-1], "target_id", "action") == {"target_id": first["track_id"], "action": "play"}
        grip = page.locator(".queue .grip")
        expect(grip.nth(1)).to_be_visible()
        page.wait_for_load_state("networkidle")
        names = page.locator(".queue .title").all_inner_texts()
        grip.first.focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator(".queue .title").first).to_have_text(names[1])
        page.keyboard.press("ArrowUp")
        expect(page.locator(".queue .title").first).to_have_text(names[0])


def check_accessibility(url: str, user_id: str) -> None:
    """Light and dark, English and Chinese, phone and keyboard: small pages without serious accessibility violations."""
    for scheme, language in (("light", "en"), ("dark", "zh-Hans")):
        with browser.open_page(
            color_scheme=scheme, viewport={"width": 390, "height": 800}, reduced_motion="reduce"
        ) as page:
            page.route("**/media/cover/*", lambda route: route.fulfill(body=PIXEL, content_type="image/gif"))
            open_listener(page, url, user_id)
            first = page.locator(".song").first.bounding_box()
            assert first and first["y"] + first["height"] < 700, "the first track is visible without scrolling"
            if language != "en":
                page.get_by_role("button", name="中文").click()
                expect(page.get_by_role("link", name="首页")).to_be_visible()
            expect(page.locator("html")).to_have_attribute("lang", language)
            assert browser.accessibility_violations(page) == []
            page.locator(".song .start").first.focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("slider")).to_be_visible()
            expect(page.locator(".player .like")).to_be_visible()
            for place in ("radio", "playlists", "library", "search", "taste"):
                page.locator(f'.places a[href="#/{place}"]:visible').click()
                expect(page.locator("main h1")).to_be_visible()
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
                    place
                )
                assert language == "en" or browser.accessibility_violations(page) == [], place
            page.get_by_role("switch", name=re.compile("For developers|开发者")).click()
            for name in (re.compile("Queue|播放队列"), re.compile("For developers|开发者")):
                page.get_by_role("button", name=name).first.click()
                expect(page.get_by_role("dialog")).to_be_visible()
                assert language == "en" or browser.accessibility_violations(page) == []
                page.keyboard.press("Escape")
