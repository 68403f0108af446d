"""Browser checks of the listening page, called by `test_pipeline.py` with its service."""

import io
import re
import wave

from playwright.sync_api import Page, Route, expect

from tests.support import browser

MAX_BYTES = 300_000


def open_listener(page: Page, url: str, user_id: str) -> None:
    page.goto(f"{url}/?user={user_id}")
    expect(page.locator(".song").first).to_be_visible()


def wait_for_list(page: Page, act) -> dict:
    """Perform an action; return the response to the request for a new list that follows, once the page shows it."""
    with page.expect_response(lambda response: response.url.endswith("/recommend")) as response:
        act()
    listed = response.value.json()
    if listed["items"]:
        first = listed["items"][0]
        expect(page.locator(".song").first).to_contain_text(first["title"] or first.get("track_id", ""))
    return listed


def ids(listed: dict) -> list[str]:
    return [item["track_id"] for item in listed["items"]]


def check_list_follows_listener(url: str, user_id: str) -> None:
    """Private FM: three skips and a like change the list, and a blocked artist does not return."""
    with browser.open_page() as page:
        open_listener(page, url, user_id)
        answer = wait_for_list(page, page.get_by_role("button", name="Private FM").click)
        lists = [ids(answer)]
        page.locator(".song .start").first.click()
        player = page.get_by_role("region", name="Now playing")
        for _ in range(3):
            lists.append(ids(wait_for_list(page, player.get_by_role("button", name="Skip").click)))
        assert len({tuple(tracks) for tracks in lists}) > 1, lists
        answer = wait_for_list(page, player.get_by_role("button", name="Like").click)
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^like "))
        artist, name = answer["items"][0]["artist_ids"][0], answer["items"][0]["artists"][0]
        page.locator(".song summary").first.click()
        block = page.locator(".song").first.get_by_role("button", name=f"Never play {name}")
        answer = wait_for_list(page, block.click)
        for _ in range(5):
            assert all(artist not in item["artist_ids"] for item in answer["items"])
            answer = wait_for_list(page, player.get_by_role("button", name="Skip").click)


def check_collections_open_and_play(url: str, user_id: str) -> None:
    """Opening a playlist or short video is reported as a click on it, and its tracks are reported with it as context."""
    with browser.open_page() as page:
        events: list[dict] = []
        page.on(
            "request",
            lambda request: events.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )
        open_listener(page, url, user_id)
        player = page.get_by_role("region", name="Now playing")
        for name, kind in (("Playlists", "playlist"), ("Short videos", "mlog")):
            answer = wait_for_list(page, page.get_by_role("button", name=name, exact=True).click)
            first = answer["items"][0]
            target, tracks = first[f"{kind}_id"], first["tracks"]
            assert browser.accessibility_violations(page) == []
            wait_for_list(page, page.locator(".song .start").first.click)
            assert {
                key: events[-1].get(key) for key in ("target_type", "target_id", "action", "request_id", "position")
            } == {
                "target_type": kind,
                "target_id": target,
                "action": "click",
                "request_id": answer["request_id"],
                "position": 0,
            }
            expect(player).to_contain_text(tracks[0]["title"])
            wait_for_list(page, player.get_by_role("button", name="Skip").click)
            assert {
                key: events[-1].get(key) for key in ("target_type", "target_id", "action", "context_id", "request_id")
            } == {
                "target_type": "track",
                "target_id": tracks[0]["track_id"],
                "action": "play",
                "context_id": f"{kind}:{target}",
                "request_id": None,  # the response contained the playlist, not the track
            }
            expect(player).to_contain_text(tracks[1]["title"] if len(tracks) > 1 else "Nothing is playing")


def check_actions_are_events(url: str, user_id: str) -> None:
    """Like, collect and not interested are reported with track, request and position."""
    with browser.open_page() as page:
        events: list[dict] = []
        page.on(
            "request",
            lambda request: events.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )
        open_listener(page, url, user_id)
        answer = wait_for_list(page, page.get_by_role("button", name="Private FM").click)
        for place, name, action in ((2, "Like", "like"), (1, "Collect", "collect"), (0, "Not interested", "dislike")):
            song, listed = page.locator(".song").nth(place), answer
            if action != "like":
                song.locator("summary").click()
            answer = wait_for_list(page, song.get_by_role("button", name=name).click)
            assert {
                key: events[-1][key] for key in ("user_id", "target_id", "action", "request_id", "position", "scene")
            } == {
                "user_id": user_id,
                "target_id": listed["items"][place]["track_id"],
                "action": action,
                "request_id": listed["request_id"],
                "position": place,
                "scene": "private_fm",
            }
            assert action != "dislike" or listed["items"][place]["track_id"] not in ids(answer)


def check_keyboard(url: str, user_id: str) -> None:
    """Keys of the slider (which changes the list), Enter on a track, and the player's space, arrow and l."""
    with browser.open_page() as page:
        requests: list[dict] = []
        page.on(
            "request", lambda request: requests.append(request.post_data_json) if "/recommend" in request.url else None
        )
        open_listener(page, url, user_id)
        wait_for_list(page, page.get_by_role("button", name="Private FM").click)
        slider = page.get_by_role("slider")
        slider.focus()
        familiar = wait_for_list(page, lambda: page.keyboard.press("Home"))
        new = wait_for_list(page, lambda: page.keyboard.press("End"))
        assert [request.get("discovery") for request in requests[-2:]] == [0, 1]
        assert len({*ids(familiar), *ids(new)}) > len(familiar["items"])
        page.locator(".song .start").first.focus()
        page.keyboard.press("Enter")
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text(new["items"][0]["title"])
        page.locator("h1").click()  # the player's keys work if no button has the focus
        page.keyboard.press("Space")
        expect(player.get_by_role("button", name="Play")).to_be_visible()
        wait_for_list(page, lambda: page.keyboard.press("l"))
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^like "))
        wait_for_list(page, lambda: page.keyboard.press("ArrowRight"))
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^skip "))


def check_audio_url(url: str, user_id: str) -> None:
    """A preview is played and counts as the whole track; with a broken URL playback is simulated."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8_000))  # a second of silence
    durations: dict[str, int] = {}
    with browser.open_page() as page:
        events: list[dict] = []
        page.on(
            "request",
            lambda request: events.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )

        def add_audio_urls(route: Route) -> None:
            response = route.fetch()
            listed = response.json()
            for place, item in enumerate(listed["items"]):
                item["audio_url"] = "data:audio/wav;base64,broken" if place else "audio/one.wav"
                durations.setdefault(item["track_id"], item["duration_ms"])
            route.fulfill(response=response, json=listed)

        page.route("**/recommend", add_audio_urls)
        page.route("**/audio/one.wav", lambda route: route.fulfill(body=sound.getvalue(), content_type="audio/wav"))
        open_listener(page, url, user_id)
        first = page.locator(".song .start").first
        name = first.get_attribute("aria-label")
        first.click()
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text("/ 0:01")
        # The track ends, and the next one has a broken URL
        expect(player).to_contain_text("Playback is simulated")
        (play,) = [event for event in events if event["action"] == "play"]
        assert 0.9 <= play["played_ms"] / durations[play["target_id"]] <= 1.1, (name, play)


def check_simulated_media(url: str, user_id: str) -> None:
    """The preview and the cover of a simulated track are rendered, and the browser can play and show them."""
    with browser.open_page() as page:
        open_listener(page, url, user_id)
        page.locator(".song .start").first.click()
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text("/ 0:10")
        expect(player).to_contain_text("Preview")
        cover = player.locator("img.cover")
        expect(cover).to_be_visible()
        assert cover.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def check_new_listener(url: str) -> None:
    """A new listener selects three tracks and gets a list."""
    with browser.open_page() as page:
        page.goto(url)
        expect(page.locator(".found button").first).to_be_visible()
        assert browser.accessibility_violations(page) == []
        for place in range(3):
            page.locator(".found button").nth(place).click()
        page.get_by_role("button", name="Begin", exact=True).click()
        expect(page.locator(".song").first).to_be_visible()
        expect(page.locator(".sequence li")).to_have_count(3)


def check_accessibility(url: str, user_id: str) -> None:
    """Light and dark, English and Chinese, phone and keyboard: small pages without serious accessibility violations."""
    for scheme, language in (("light", "en"), ("dark", "zh-Hans")):
        with browser.open_page(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
            sizes: list[int] = []
            page.on("requestfinished", lambda request, sizes=sizes: sizes.append(sum(request.sizes().values())))
            open_listener(page, url, user_id)
            if language != "en":
                page.get_by_role("button", name="中文").click()
                expect(page.locator(".song .hint").filter(has_text="因为").first).to_be_visible()
            expect(page.locator("html")).to_have_attribute("lang", language)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            listed, why = (page.locator(one).first.bounding_box() for one in (".songs", ".song .hint"))
            assert listed and why and why["width"] > 0.9 * listed["width"], (
                "the reason of a track has the width of the phone"
            )
            assert browser.accessibility_violations(page) == []
            assert 0 < sum(sizes) < MAX_BYTES
            page.locator(".song .start").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator("progress")).to_be_visible()
