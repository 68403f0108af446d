"""Browser checks of the listening page, called by `test_pipeline.py` with its service."""

import base64
import io
import json
import re
import wave
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect

from tests.support import browser

MAX_BYTES = 400_000
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
def expect_answer(page: Page, path: str = "recommend", scene: str | None = None):
    """The next answer of the service to a request of the page, for a scene if one is given."""

    def is_it(response) -> bool:
        if not response.url.endswith(f"/{path}"):
            return False
        return scene is None or response.request.post_data_json.get("scene") == scene

    with page.expect_response(is_it) as response:
        yield response


def is_asset(url: str) -> bool:
    """Whether the URL is a file of the page, not an answer of the API."""
    return "/page/" in url or urlsplit(url).path == "/"


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


def check_list_follows_listener(url: str, user_id: str) -> None:
    """Radio: three skips and a like change the queue, and a blocked artist does not return."""
    with browser.open_page() as page:
        events = collect_events(page)
        open_listener(page, url, user_id, "radio")
        page.get_by_role("button", name="Start the radio").click()
        player, lists = player_of(page), []
        for _ in range(3):
            with expect_answer(page, scene="private_fm") as answer:
                player.get_by_role("button", name="Next").click()
            lists.append(ids(answer.value.json()))
        assert len({tuple(tracks) for tracks in lists}) > 1, lists
        expect(page.locator(".changed")).not_to_be_empty()
        with expect_answer(page, scene="private_fm"):
            player.get_by_role("button", name="Like").click()
        assert events[-1]["action"] == "like"
        artists = player.locator(".artists").inner_text().split(", ")
        with expect_answer(page, scene="private_fm") as answer:
            choose(page, player.get_by_role("button", name="More"), f"Never play {artists[0]}")
        assert part(events[-2], "target_type", "action") == {"target_type": "artist", "action": "block"} or part(
            events[-1], "target_type", "action"
        ) == {"target_type": "artist", "action": "block"}
        blocked = next(event["target_id"] for event in reversed(events) if event["action"] == "block")
        for _ in range(3):
            assert all(blocked not in item["artist_ids"] for item in answer.value.json()["items"])
            with expect_answer(page, scene="private_fm") as answer:
                player.get_by_role("button", name="Next").click()
        page.goto(f"{url}/?user={user_id}#/liked")
        page.get_by_role("button", name="Hidden").click()
        page.get_by_role("button", name=f"Unblock: {artists[0]}").click()
        expect(page.get_by_role("button", name=f"Unblock: {artists[0]}")).to_have_count(0)


def check_collections_open_and_play(url: str, user_id: str) -> None:
    """Opening a playlist or short video is reported as a click on it, and its tracks are reported with it as context."""
    with browser.open_page() as page:
        events = collect_events(page)
        for place, scene, kind in (("playlists", "playlists", "playlist"), ("videos", "mlog", "mlog")):
            events.clear()
            with expect_answer(page, scene=scene) as answer:
                page.goto("about:blank")
                page.goto(f"{url}/?user={user_id}#/{place}")
            listed = answer.value.json()
            first = listed["items"][0]
            target, tracks = first[f"{kind}_id"], first["tracks"]
            expect(page.locator(".tile").first).to_be_visible()
            assert browser.accessibility_violations(page) == []
            with page.expect_response("**/events"):
                page.locator(".tile a").first.click()
            assert part(events[-1], "target_type", "target_id", "action", "request_id", "position") == {
                "target_type": kind,
                "target_id": target,
                "action": "click",
                "request_id": listed["request_id"],
                "position": 0,
            }
            page.locator(".song .start").first.click()
            player = player_of(page)
            expect(player).to_contain_text(tracks[0]["title"])
            with page.expect_response("**/events"):
                player.get_by_role("button", name="Next").click()
            assert part(events[-1], "target_type", "target_id", "action", "context_id", "request_id") == {
                "target_type": "track",
                "target_id": tracks[0]["track_id"],
                "action": "play",
                "context_id": f"{kind}:{target}",
                "request_id": None,  # the response contained the playlist, not the track
            }
            if len(tracks) > 1:
                expect(player).to_contain_text(tracks[1]["title"])


def check_actions_are_events(url: str, user_id: str) -> None:
    """Like, save and not interested, and taking them back, are reported with track, request and position."""
    with browser.open_page() as page:
        events = collect_events(page)
        with expect_answer(page, scene="daily") as answer:
            open_listener(page, url, user_id)
        listed = answer.value.json()
        page.wait_for_load_state("networkidle")
        for place, name, action, undo in (
            (2, "Like", "like", "unlike"),
            (1, "Save|saved", "collect", "uncollect"),
            (0, "Not interested", "dislike", "undislike"),
        ):
            song = page.locator(".song").filter(has_text=listed["items"][place]["title"]).first
            like = song.get_by_role("button", name="Like")
            if action == "like" and like.get_attribute("aria-pressed") == "true":
                with page.expect_response("**/events"):
                    like.click()
            with page.expect_response("**/events"):
                if action == "like":
                    like.click()
                else:
                    choose(page, song.get_by_role("button", name="More"), re.compile(name))
            assert part(events[-1], "user_id", "target_id", "action", "request_id", "position", "scene") == {
                "user_id": user_id,
                "target_id": listed["items"][place]["track_id"],
                "action": action if action != "collect" else events[-1]["action"],
                "request_id": listed["request_id"],
                "position": place,
                "scene": "daily",
            }
            if action == "like":
                expect(like).to_have_attribute("aria-pressed", "true")
                with page.expect_response("**/events"):
                    like.click()
            elif action == "dislike":
                expect(song).to_have_count(0)
                with page.expect_response("**/events"):
                    page.locator(".toast").get_by_role("button", name="Undo").click()
            if action != "collect":
                assert part(events[-1], "target_id", "action") == {
                    "target_id": listed["items"][place]["track_id"],
                    "action": undo,
                }
        expect(page.locator(".song").filter(has_text=listed["items"][0]["title"]).first).to_be_visible()


def check_keyboard(url: str, user_id: str) -> None:
    """Keys of the slider (which changes the list), Enter on a track, and the player's space, arrow and l."""
    with browser.open_page() as page:
        events = collect_events(page)
        open_listener(page, url, user_id, "radio")
        slider = page.get_by_role("slider", name="Repeat")
        slider.focus()
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


def check_audio_url(url: str, user_id: str) -> None:
    """A preview is played and counts as the whole track; with a broken URL a generated piece is played."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8_000))  # a second of silence
    durations: dict[str, int] = {}
    with browser.open_page() as page:
        events = collect_events(page)

        def add_audio_urls(route: Route) -> None:
            response = route.fetch()
            listed = response.json()
            for place, item in enumerate(item for item in listed["items"] if "track_id" in item):
                item["audio_url"] = "data:audio/wav;base64,broken" if place else "audio/one.wav"
                durations.setdefault(item["track_id"], item["duration_ms"])
            route.fulfill(response=response, json=listed)

        page.route("**/recommend", add_audio_urls)
        page.route("**/audio/one.wav", lambda route: route.fulfill(body=sound.getvalue(), content_type="audio/wav"))
        open_listener(page, url, user_id)
        first = page.locator(".song .start").first
        name = first.get_attribute("aria-label")
        first.click()
        player = player_of(page)
        expect(player).to_contain_text("0:01")
        # The track ends, and the next one has a broken URL
        expect(player).to_contain_text("Generated")
        (play,) = [event for event in events if event["action"] == "play"]
        assert 0.9 <= play["played_ms"] / durations[play["target_id"]] <= 1.1, (name, play)


def check_simulated_media(url: str, user_id: str) -> None:
    """The preview and the cover of a simulated track are rendered, and the browser can play and show them."""
    with browser.open_page() as page:
        open_listener(page, url, user_id)
        page.locator(".song .start").first.click()
        player = player_of(page)
        expect(player).to_contain_text("0:10")
        expect(player).to_contain_text("Preview")
        cover = player.locator(".cover img")
        expect(cover).to_be_visible()
        assert cover.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def check_new_listener(url: str) -> None:
    """A new listener selects three tracks and gets a list."""
    with browser.open_page() as page:
        page.goto(url)
        expect(page.locator(".picks button").first).to_be_visible()
        expect(page.locator(".listener .tile-sub").first).not_to_be_empty()
        assert browser.accessibility_violations(page) == []
        for place in range(3):
            page.locator(".picks button").nth(place).click()
        page.get_by_role("button", name="Begin", exact=True).click()
        expect(page.locator(".song").first).to_be_visible()
        page.get_by_role("button", name="For developers").click()
        expect(page.locator(".sequence li")).to_have_count(3)


def check_accessibility(url: str, user_id: str) -> None:
    """Light and dark, English and Chinese, phone and keyboard: small pages without serious accessibility violations."""
    for scheme, language in (("light", "en"), ("dark", "zh-Hans")):
        with browser.open_page(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
            sizes: list[int] = []
            page.on(
                "requestfinished",
                lambda request, sizes=sizes: (
                    sizes.append(sum(request.sizes().values())) if is_asset(request.url) else None
                ),
            )
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
            for place in ("radio", "liked", "history", "search", "taste"):
                page.locator(f'.places a[href="#/{place}"]:visible').click()
                expect(page.locator("main h1")).to_be_visible()
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
                    place
                )
                assert language == "en" or browser.accessibility_violations(page) == [], place
            for name in (re.compile("Queue|播放队列"), re.compile("For developers|开发者")):
                page.get_by_role("button", name=name).first.click()
                expect(page.get_by_role("dialog")).to_be_visible()
                assert language == "en" or browser.accessibility_violations(page) == []
                page.keyboard.press("Escape")
            assert 0 < sum(sizes) < MAX_BYTES


def check_evening(url: str) -> None:
    """An evening of a new listener; each action is checked against its event and the next answer."""
    with browser.open_page(viewport={"width": 1280, "height": 860}) as page:
        events = collect_events(page)
        page.goto(url)
        picks = page.locator(".picks button")
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
        _skip_three_times(page, events)
        _like_and_undo(page, events)
        _block_and_unblock(page, events)
        _leave_an_album_out(page, events)
        _control_an_interest(page, events)
        _listen_in_private(page, events, user)
        _search_by_mood(page, user)
        _follow_a_path(page)
        _read_in_chinese_on_a_phone(page)
        _download_and_erase(page, user)


def _skip_three_times(page: Page, events: list[dict]) -> None:
    page.wait_for_load_state("networkidle")  # shelves of the home request the scene, too
    with expect_answer(page, scene="private_fm") as answer:
        page.get_by_role("link", name="Radio").click()
    page.get_by_role("button", name="Start the radio").click()
    listed = answer.value.json()
    for number in range(3):
        playing = player_of(page).locator(".title").inner_text()
        with expect_answer(page, scene="private_fm") as answer:
            player_of(page).get_by_role("button", name="Next").click()
        skip = events[-1]
        assert skip["action"] == "play" and skip["scene"] == "private_fm" and skip["played_ms"] < 30_000
        if number == 0:
            assert part(skip, "target_id", "request_id", "position") == {
                "target_id": listed["items"][0]["track_id"],
                "request_id": listed["request_id"],
                "position": 0,
            }
        assert skip["target_id"] not in ids(answer.value.json()), f"{playing} was skipped"


def _like_and_undo(page: Page, events: list[dict]) -> None:
    title = player_of(page).locator(".title").inner_text()
    like = player_of(page).get_by_role("button", name="Like")
    for action in ("like", "unlike"):
        with page.expect_response("**/events"):
            like.click()
        assert part(events[-1], "target_type", "action") == {"target_type": "track", "action": action}
        page.get_by_role("link", name="Liked").click()
        with page.expect_response("**/library") as library:
            page.reload()  # shows what the service answers
        liked = [entry["target_id"] for entry in library.value.json()["liked"]]
        assert (events[-1]["target_id"] in liked) == (action == "like"), title
        row = page.locator(".song").filter(has_text=title)
        expect(row).to_have_count(int(action == "like"))
        like = row.get_by_role("button", name="Like")


def _block_and_unblock(page: Page, events: list[dict]) -> None:
    with expect_answer(page, scene="daily") as before:
        page.get_by_role("link", name="Home").click()
    first = before.value.json()["items"][0]
    artist, name = first["artist_ids"][0], first["artists"][0]
    row = page.locator(".song").filter(has_text=first["title"]).first
    with expect_answer(page, scene="daily") as after:
        choose(page, row.get_by_role("button", name="More"), f"Never play {name}")
    assert part(events[-1], "target_type", "target_id", "action") == {
        "target_type": "artist",
        "target_id": artist,
        "action": "block",
    }
    assert all(artist not in item["artist_ids"] for item in after.value.json()["items"])
    expect(page.locator(".songs")).not_to_contain_text(name)
    page.get_by_role("link", name="Liked").click()
    page.get_by_role("button", name="Hidden").click()
    with page.expect_response("**/events"):
        page.get_by_role("button", name=f"Unblock: {name}").click()
    assert part(events[-1], "target_id", "action") == {"target_id": artist, "action": "unblock"}
    with expect_answer(page, scene="daily") as again:
        page.get_by_role("link", name="Home").click()
    assert first["track_id"] in ids(again.value.json())


def _leave_an_album_out(page: Page, events: list[dict]) -> None:
    page.get_by_role("link", name="Liked").click()
    with expect_answer(page, scene="daily") as before:
        page.get_by_role("link", name="Home").click()
    first = next(item for item in before.value.json()["items"] if item.get("album_id"))
    row = page.locator(".song").filter(has_text=first["title"]).first
    with expect_answer(page, scene="daily") as after:
        choose(page, row.get_by_role("button", name="More"), f"Leave out of my taste: {first['album']}")
    assert part(events[-1], "target_type", "target_id", "action") == {
        "target_type": "album",
        "target_id": first["album_id"],
        "action": "exclude",
    }
    assert all(item.get("album_id") != first["album_id"] for item in after.value.json()["items"])
    _open_taste(page)
    with page.expect_response("**/taste") as taste:
        page.get_by_role("button", name=f"Count again: {first['album']}").click()
    assert part(events[-1], "target_id", "action") == {"target_id": first["album_id"], "action": "unexclude"}
    assert taste.value.json()["left_out"] == []
    with expect_answer(page, scene="daily") as again:
        page.get_by_role("link", name="Home").click()
    assert first["track_id"] in ids(again.value.json())


def _open_taste(page: Page) -> None:
    with page.expect_response("**/taste"):
        page.get_by_role("link", name="Your taste").first.click()


def _control_an_interest(page: Page, events: list[dict]) -> None:
    _open_taste(page)
    card = page.locator(".interest").first
    name = card.locator("h3").inner_text()

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
    page.get_by_role("link", name="Home").click()
    page.locator(".song .start").first.click()
    with page.expect_response("**/events") as report:
        player_of(page).get_by_role("button", name="Next").click()
    assert events[-1]["action"] == "play" and report.value.json()["private"] == 1
    with page.expect_response("**/listener") as listener:
        page.get_by_role("link", name="History").click()
    assert listener.value.request.post_data_json == {"user_id": user}
    recorded = [event["ended_at"] for event in listener.value.json()["events"]]
    assert recorded and max(recorded) < since_us
    with page.expect_response("**/events"):
        page.get_by_role("button", name="End", exact=True).click()
    assert part(events[-1], "target_type", "action") == {"target_type": "session", "action": "end_private"}
    expect(page.locator(".private-note")).to_have_count(0)


def _search_by_mood(page: Page, user: str) -> None:
    page.get_by_role("link", name="Search").click()
    with page.expect_response("**/search") as found:
        page.get_by_role("button", name="quiet").click()
    assert part(found.value.request.post_data_json, "query", "user_id") == {"query": "quiet", "user_id": user}
    expect(page.locator(".song .note").first).to_contain_text("quiet")


def _follow_a_path(page: Page) -> None:
    row = page.locator(".song").first
    choose(page, row.get_by_role("button", name="More"), "Play from here to")
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
    page.get_by_role("link", name="我的口味").last.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载我的数据").click()
    stored = json.loads(Path(download.value.path()).read_text())
    assert stored["user_id"] == user
    actions = {event["action"] for event in stored["stores"]["event_log"]}
    assert {"like", "play", "block", "exclude", "rename", "start_private", "end_private"} <= actions
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


def _read_in_chinese_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    with page.expect_response("**/path") as path:
        page.get_by_role("button", name="中文").click()
    assert path.value.request.post_data_json["language"] == "zh"
    expect(page.get_by_role("link", name="首页")).to_be_visible()
    page.locator(".song .start").first.click()
    expect(page.get_by_role("region", name="正在播放")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
