"""A person at the listening page: what they do, and what must come of it. Called by the line's test, on its own service."""

import io
import re
import wave

from playwright.sync_api import Page, Route, expect

from tests.support import browser

MOST_BYTES = 300_000


def open_listener(page: Page, url: str, user_id: str) -> None:
    page.goto(f"{url}/?user={user_id}")
    expect(page.locator(".song").first).to_be_visible()


def answered(page: Page, act) -> dict:
    """Does something and returns the answer that follows it, once the page shows it."""
    with page.expect_response(lambda response: response.url.endswith("/recommend")) as response:
        act()
    answer = response.value.json()
    if answer["items"]:
        first = answer["items"][0]
        expect(page.locator(".song").first).to_contain_text(first["title"] or first.get("track_id", ""))
    return answer


def ids(answer: dict) -> list[str]:
    return [item["track_id"] for item in answer["items"]]


def listens_and_the_list_follows(url: str, user_id: str) -> None:
    """Private FM: three skips, a like, and an artist who never comes back."""
    with browser.opened() as page:
        open_listener(page, url, user_id)
        answer = answered(page, page.get_by_role("button", name="Private FM").click)
        seen = [ids(answer)]
        page.locator(".song .start").first.click()
        player = page.get_by_role("region", name="Now playing")
        for _ in range(3):
            seen.append(ids(answered(page, player.get_by_role("button", name="Skip").click)))
        assert len({tuple(one) for one in seen}) > 1, seen
        answer = answered(page, player.get_by_role("button", name="Like").click)
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^like "))
        artist, name = answer["items"][0]["artist_ids"][0], answer["items"][0]["artists"][0]
        page.locator(".song summary").first.click()
        block = page.locator(".song").first.get_by_role("button", name=f"Never play {name}")
        answer = answered(page, block.click)
        for _ in range(5):
            assert all(artist not in item["artist_ids"] for item in answer["items"])
            answer = answered(page, player.get_by_role("button", name="Skip").click)


def opens_what_holds_songs_and_they_play_one_after_another(url: str, user_id: str) -> None:
    """Playlists and short videos: opening one is a click on it, and each of its songs says that it came from there."""
    with browser.opened() as page:
        told: list[dict] = []
        page.on(
            "request",
            lambda request: told.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )
        open_listener(page, url, user_id)
        player = page.get_by_role("region", name="Now playing")
        for name, kind in (("Playlists", "playlist"), ("Short videos", "mlog")):
            answer = answered(page, page.get_by_role("button", name=name, exact=True).click)
            first = answer["items"][0]
            target, tracks = first[f"{kind}_id"], first["tracks"]
            assert browser.serious(page) == []
            answered(page, page.locator(".song .start").first.click)
            assert {
                key: told[-1].get(key) for key in ("target_type", "target_id", "action", "request_id", "position")
            } == {
                "target_type": kind,
                "target_id": target,
                "action": "click",
                "request_id": answer["request_id"],
                "position": 0,
            }
            expect(player).to_contain_text(tracks[0]["title"])
            answered(page, player.get_by_role("button", name="Skip").click)
            assert {
                key: told[-1].get(key) for key in ("target_type", "target_id", "action", "context_id", "request_id")
            } == {
                "target_type": "track",
                "target_id": tracks[0]["track_id"],
                "action": "play",
                "context_id": f"{kind}:{target}",
                "request_id": None,  # the answer showed the playlist, not the song
            }
            expect(player).to_contain_text(tracks[1]["title"] if len(tracks) > 1 else "Nothing is playing")


def every_act_is_an_event(url: str, user_id: str) -> None:
    """Like, collect, not interested, never again: each names the song, and the place in which answer it had."""
    with browser.opened() as page:
        told: list[dict] = []
        page.on(
            "request",
            lambda request: told.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )
        open_listener(page, url, user_id)
        answer = answered(page, page.get_by_role("button", name="Private FM").click)
        for place, name, action in ((2, "Like", "like"), (1, "Collect", "collect"), (0, "Not interested", "dislike")):
            song, of = page.locator(".song").nth(place), answer
            if action != "like":
                song.locator("summary").click()
            answer = answered(page, song.get_by_role("button", name=name).click)
            assert {
                key: told[-1][key] for key in ("user_id", "target_id", "action", "request_id", "position", "scene")
            } == {
                "user_id": user_id,
                "target_id": of["items"][place]["track_id"],
                "action": action,
                "request_id": of["request_id"],
                "position": place,
                "scene": "private_fm",
            }
            assert action != "dislike" or of["items"][place]["track_id"] not in ids(answer)


def is_used_by_keyboard_alone(url: str, user_id: str) -> None:
    """The slider by its keys, a song by Enter, and the player by space, arrow and l; another balance is another list."""
    with browser.opened() as page:
        asked: list[dict] = []
        page.on(
            "request", lambda request: asked.append(request.post_data_json) if "/recommend" in request.url else None
        )
        open_listener(page, url, user_id)
        answered(page, page.get_by_role("button", name="Private FM").click)
        slider = page.get_by_role("slider")
        slider.focus()
        known = answered(page, lambda: page.keyboard.press("Home"))
        new = answered(page, lambda: page.keyboard.press("End"))
        assert [one.get("discovery") for one in asked[-2:]] == [0, 1]
        assert len({*ids(known), *ids(new)}) > len(known["items"])
        page.locator(".song .start").first.focus()
        page.keyboard.press("Enter")
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text(new["items"][0]["title"])
        page.locator("h1").click()  # the keys of the player are those of the page, not of a button
        page.keyboard.press("Space")
        expect(player.get_by_role("button", name="Play")).to_be_visible()
        answered(page, lambda: page.keyboard.press("l"))
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^like "))
        answered(page, lambda: page.keyboard.press("ArrowRight"))
        expect(page.locator(".sequence li").last).to_have_class(re.compile("^skip "))


def hears_what_has_an_address(url: str, user_id: str) -> None:
    """A song with an address is heard and reported as long as it was; one whose address leads nowhere plays on the clock."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8_000))  # a second of silence
    with browser.opened() as page:
        told: list[dict] = []
        page.on(
            "request",
            lambda request: told.extend(request.post_data_json["events"]) if "/events" in request.url else None,
        )

        def with_addresses(route: Route) -> None:
            answer = route.fetch()
            found = answer.json()
            for place, item in enumerate(found["items"]):
                item["audio_url"] = "data:audio/wav;base64,broken" if place else "audio/one.wav"
            route.fulfill(response=answer, json=found)

        page.route("**/recommend", with_addresses)
        page.route("**/audio/one.wav", lambda route: route.fulfill(body=sound.getvalue(), content_type="audio/wav"))
        open_listener(page, url, user_id)
        first = page.locator(".song .start").first
        name = first.get_attribute("aria-label")
        first.click()
        player = page.get_by_role("region", name="Now playing")
        expect(player).to_contain_text("/ 0:01")
        # It ends by itself, and the next one has an address that a page must not play
        expect(player).to_contain_text("Playback is simulated")
        (play,) = [event for event in told if event["action"] == "play"]
        assert 900 <= play["played_ms"] <= 1_100, (name, play)


def begins_with_three_songs(url: str) -> None:
    """Somebody nobody knows picks three songs and has a list."""
    with browser.opened() as page:
        page.goto(url)
        expect(page.locator(".found button").first).to_be_visible()
        assert browser.serious(page) == []
        for place in range(3):
            page.locator(".found button").nth(place).click()
        page.get_by_role("button", name="Begin", exact=True).click()
        expect(page.locator(".song").first).to_be_visible()
        expect(page.locator(".sequence li")).to_have_count(3)


def may_be_used_by_everybody(url: str, user_id: str) -> None:
    """Light and dark, English and Chinese, on a phone and by keyboard; small, and nothing that keeps people out."""
    for scheme, language in (("light", "en"), ("dark", "zh-Hans")):
        with browser.opened(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
            sizes: list[int] = []
            page.on("requestfinished", lambda request, sizes=sizes: sizes.append(sum(request.sizes().values())))
            open_listener(page, url, user_id)
            if language != "en":
                page.get_by_role("button", name="中文").click()
                expect(page.locator(".song .hint").filter(has_text="因为").first).to_be_visible()
            expect(page.locator("html")).to_have_attribute("lang", language)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            listed, why = (page.locator(one).first.bounding_box() for one in (".songs", ".song .hint"))
            assert listed and why and why["width"] > 0.9 * listed["width"], "why a song is there has the phone's width"
            assert browser.serious(page) == []
            assert 0 < sum(sizes) < MOST_BYTES
            page.locator(".song .start").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator("progress")).to_be_visible()
