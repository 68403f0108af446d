"""Search boxes, playback, library and loading states of the listening page, in Chromium, with answers made by hand."""

import io
import json
import re
import wave

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette

from sequences.behaviors import load_behaviors
from serving.http.static_page import page_routes
from tests.e2e.listening_page import report
from tests.support import browser
from tests.support.serving.http_server import serve

WHY = "because it is quiet · night"
SONG = {
    "track_id": "t1", "title": "Silver River", "artists": ["Anna"], "artist_ids": ["a1"], "facets": ["quiet"], "duration_ms": 0,
    "score": 2.0, "reason": WHY,
}  # fmt: skip
SILENT_SONGS = [SONG | {"track_id": f"s{number}", "title": f"Song {number}"} for number in range(5)]
SONGS = [song | {"audio_url": "audio/song.wav"} for song in SILENT_SONGS]
ANSWERS = {
    "search": {"items": [SONG]},
    "similar": {"request_id": "q3", "release": "r1", "items": []},
    "listeners": {"user_ids": ["u1"]},
    "listener": {
        "user_id": "u1", "is_known": False, "release": "r1", "is_own_catalog": False, "events": [],
        "interests": [], "short_term": None, "long_term": None,
    },
    "library": {"user_id": "u1", "liked": [], "collected": [], "disliked": [], "blocked": []},
    "taste": {"user_id": "u1", "interests": [], "left_out": [], "private_session": None},
    "recommend": {"request_id": "q1", "release": "r1", "items": []},
    "events": {"accepted": 1, "duplicate": 0, "rejected": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def url():
    with serve(Starlette(routes=page_routes())) as url, browser.shared():
        yield f"{url}/"


@pytest.fixture
def page(request):
    """A page whose requests are answered by hand."""
    with browser.open_page(locale=getattr(request, "param", "en-US")) as page:
        page.route("**/favicon.ico", lambda route: route.fulfill(body=""))
        yield page


@pytest.fixture
def bodies(page):
    """Bodies of the requests by path."""
    found = {path: [] for path in ANSWERS}

    def answer(route):
        path = route.request.url.rpartition("/")[2]
        found[path].append(json.loads(route.request.post_data))
        route.fulfill(json=ANSWERS[path])

    for path in ANSWERS:
        page.route(f"**/{path}", answer)
    return found


def answer_with(page, path, **changes):
    """Answer the requests of a path with a changed answer."""
    page.route(f"**/{path}", lambda route: route.fulfill(json=ANSWERS[path] | changes))


def song_of(page, title):
    return page.locator(".song").filter(has_text=title)


def choose(page, part, item):
    """Choose an item of the menu of a song or of the player."""
    part.get_by_role("button", name="More").last.click()
    page.get_by_role("menuitem", name=item).click()


def silence(seconds):
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8_000, 0, "NONE", ""))
        writer.writeframes(bytes(2 * 8_000 * seconds))
    return file.getvalue()


def show_songs(page, url, songs=SONGS, seconds=60):
    """Open a list of songs, whose audio has so many seconds; returns the player."""
    answer_with(page, "search", items=songs)
    page.route("**/audio/song.wav", lambda route: route.fulfill(body=silence(seconds), content_type="audio/wav"))
    page.goto(f"{url}?user=u1#/search/song")
    expect(page.locator(".song")).to_have_count(len(songs))
    return page.get_by_role("region", name="Now playing")


def open_home(page, url):
    """Open the first page with all of its shelves."""
    page.route("**/scenes.json", lambda route: route.fulfill(json=[]))
    with page.expect_response("**/scenes.json"):  # after all shelves
        page.goto(f"{url}?user=u1#/")


def reported(bodies):
    """Action and target of the events that the page has reported."""
    return [(event["action"], event["target_id"]) for one in bodies["events"] for event in one["events"]]


def test_a_listener_searches_and_plays_what_was_found(page, bodies, url):
    page.goto(f"{url}?user=u1#/search")
    page.get_by_role("searchbox").fill("something calm for the night")
    expect(page.locator(".song .title")).to_have_text("Silver River")
    assert bodies["search"][-1] == {
        "query": "something calm for the night", "language": "en", "limit": 20, "user_id": "u1"
    }  # fmt: skip
    assert browser.accessibility_violations(page) == []
    page.locator(".song .start").click()
    player = page.get_by_role("region", name="Now playing")
    expect(player).to_contain_text("Silver River")
    player.get_by_role("button", name="Like").click()
    expect(player.get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "true")
    assert bodies["events"] and all("request_id" not in event for event in bodies["events"][0]["events"])
    player.get_by_role("button", name="Like").click()
    expect(player.get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "false")
    assert reported(bodies) == [("like", "t1"), ("unlike", "t1")]


def test_a_text_typed_into_the_new_field_is_searched(page, bodies, url):
    page.add_init_script("""new MutationObserver((_, observer) => {
        const field = document.querySelector("input[type=search]");
        if (!field) return;
        observer.disconnect();
        field.value = "calm";
        field.dispatchEvent(new Event("input"));
    }).observe(document, { childList: true, subtree: true });""")
    page.goto(f"{url}?user=u1#/search")
    expect(page.locator(".song .title")).to_have_text("Silver River")


def test_the_page_says_what_was_understood_and_links_to_what_has_the_name(page, bodies, url):
    answer_with(
        page,
        "search",
        items=[SONG, SONG | {"track_id": "t2", "facets": []}],
        understood=[
            {"kind": "facet", "text": "calm", "values": ["quiet"], "is_excluded": False},
            {"kind": "facet", "text": "rap", "values": ["rap"], "is_excluded": True},
        ],
        unmet={"period": "no song: 80s"},
        artists=[{"artist_id": "a1", "name": "Anna", "track_count": 2}],
        albums=[{"album_id": "l1", "title": "Harbor", "artists": ["Anna"]}],
        playlists=[{"playlist_id": "p1", "title": "Calm nights"}],
    )
    page.goto(f"{url}?user=u1#/search/calm")
    expect(page.locator(".search [role=status]")).to_have_text("No song: 80s; showing quiet · without rap")
    expect(page.locator(".song .chip")).to_have_text(["quiet"])  # both are not rap
    links = page.locator(".search .artist-chips a").all()
    assert [link.get_attribute("href") for link in links] == ["#/artist/a1", "#/album/l1", "#/playlist/p1"]
    assert browser.accessibility_violations(page) == []
    answer_with(page, "search", items=[], unmet={"words": "not understood: qqq"})
    page.get_by_role("searchbox").fill("qqq")
    expect(page.locator(".search .moods button")).to_have_count(3)
    with page.expect_request("**/search") as asked:
        page.locator(".search .moods button").first.click()
    assert asked.value.post_data_json["query"] == "quiet" and bodies["search"] == []


def test_an_action_that_the_service_rejects_is_taken_back(page, bodies, url):
    rejected = {"accepted": 0, "duplicate": 0, "rejected": [{"index": 0, "reason": "the disk is full"}]}
    answer_with(page, "events", **rejected)
    page.goto(f"{url}?user=u1#/search/river")
    page.locator(".song").get_by_role("button", name="Like").click()
    expect(page.get_by_role("alert")).to_contain_text("the disk is full")
    expect(page.locator(".song").get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "false")


def test_the_reason_of_a_list_is_not_repeated_with_newer_numbers(page, bodies, url):
    song = SONG | {"reason": "you have listened to it 4 times"}
    answer_with(page, "search", items=[song])
    newer = ["you have listened to it 8 times", "you played it just now"]
    channels = [{"name": name, "rank": 1, "reason": reason} for name, reason in zip("ab", newer, strict=True)]
    explanation = {"track": song, "channels": channels, "tasks": {}, "graph": []}
    page.route("**/explain", lambda route: route.fulfill(json=explanation))
    page.goto(f"{url}?user=u1#/search/river")
    choose(page, page.locator(".song"), "Why this?")
    expect(page.locator(".why .reason")).to_contain_text("4 times")
    expect(page.locator(".why .reasons li")).to_have_count(1)
    expect(page.locator(".why .reasons li")).to_contain_text("just now")


@pytest.mark.parametrize("page", ["zh-CN"], indirect=True)
def test_a_new_listener_sees_reasons_of_a_query_only(page, bodies, url):
    page.goto(url)
    expect(page.locator(".picks button")).to_have_count(1)
    expect(page.locator(".picks .why-found")).to_have_count(0)
    with page.expect_response("**/search"):
        page.get_by_role("searchbox").fill("放点安静的歌")
    expect(page.locator(".picks .why-found")).to_have_text(WHY)
    assert bodies["search"][-1] == {"query": "放点安静的歌", "language": "zh", "limit": 20}


def test_liked_songs_lead_to_more_like_these(page, bodies, url):
    answer_with(page, "library", liked=[{"target_type": "track", "target_id": "t1", "track": SONG}])
    answer_with(page, "recommend", request_id="q2", items=[SONG | {"track_id": "t2", "title": "Golden River"}])
    with page.expect_request("**/recommend") as request:
        page.goto(f"{url}?user=u1#/library")
    assert request.value.post_data_json["seeds"] == ["t1"]
    expect(page.get_by_text("1 song", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="More like these")).to_be_visible()
    song = song_of(page, "Golden River")
    song.get_by_role("button", name="Like").click()
    expect(song.first.get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "true")
    (event,) = bodies["events"][-1]["events"]
    assert (event["target_id"], event["request_id"], event["scene"]) == ("t2", "q2", "continuation")


def test_less_like_this_is_a_request_in_lists_that_follow_from_songs(page, bodies, url):
    answer_with(page, "library", liked=[{"target_type": "track", "target_id": "t1", "track": SONG}])
    answer_with(page, "recommend", items=[song | {"title": f"More {song['title']}"} for song in SILENT_SONGS])
    page.goto(f"{url}?user=u1#/library")
    expect(song_of(page, "More Song 0")).to_be_visible()
    with page.expect_request("**/recommend") as request:
        choose(page, song_of(page, "More Song 0"), "Less like this")
    assert (request.value.post_data_json["seeds"], request.value.post_data_json["negative_seeds"]) == (["t1"], ["s0"])
    with page.expect_request("**/recommend") as request:
        page.locator(".less button").click()
    assert "negative_seeds" not in request.value.post_data_json
    assert bodies["events"] == []


def test_less_like_this_is_not_interested_in_other_lists(page, bodies, url):
    page.goto(f"{url}?user=u1#/search/river")
    with page.expect_response("**/events"):
        choose(page, page.locator(".song"), "Less like this")
    expect(page.locator(".song")).to_have_count(0)
    assert reported(bodies) == [("dislike", "t1")]


def test_the_queue_takes_a_song_next_and_repeats(page, bodies, url):
    player = show_songs(page, url)
    song_of(page, "Song 3").locator(".start").click()
    choose(page, song_of(page, "Song 0"), "Play next")
    for _ in range(2):
        player.locator(".repeat").click()
    expect(player.get_by_role("button", name="Repeat: this song")).to_be_visible()
    for _ in range(2):
        player.locator(".repeat").click()
    expect(player.get_by_role("button", name="Repeat: all")).to_be_visible()
    for title in ("Song 0", "Song 4", "Song 3"):
        report(page, player.get_by_role("button", name="Next"))
        expect(player).to_contain_text(title)
    player.get_by_role("slider", name="Volume").fill("0.5")
    page.reload()
    expect(page.locator(".player").get_by_role("slider", name="Volume")).to_have_value("0.5")


def test_a_song_that_started_while_another_was_hidden_keeps_playing(page, bodies, url):
    waiting = []

    def hold_dislike(route):
        if json.loads(route.request.post_data)["events"][0]["action"] == "dislike":
            waiting.append(route)
        else:
            route.fallback()

    page.route("**/events", hold_dislike)
    player = show_songs(page, url)
    song_of(page, "Song 0").locator(".start").click()
    with page.expect_request("**/events"):
        choose(page, song_of(page, "Song 2"), "Not interested")
    player.get_by_role("button", name="Next").click()
    expect(player).to_contain_text("Song 1")
    waiting[0].fulfill(json=ANSWERS["events"])
    expect(page.locator(".toast")).to_be_visible()
    expect(player).to_contain_text("Song 1")
    player.get_by_role("button", name="Next").click()
    expect(player).to_contain_text("Song 3")
    assert reported(bodies) == [("play", "s0"), ("play", "s1")]


def test_a_song_that_is_left_for_another_one_is_reported_as_played(page, bodies, url):
    player = show_songs(page, url)
    song_of(page, "Song 0").locator(".start").click()
    expect(player).to_contain_text("0:01")
    report(page, song_of(page, "Song 1").locator(".start"))
    assert bodies["events"][0]["events"][0]["played_ms"] >= 750
    report(page, player.get_by_role("button", name="Previous"))
    expect(player).to_contain_text("Song 0")
    choose(page, player, "Not interested")
    expect(player).to_contain_text("Song 1")
    page.get_by_role("button", name="Queue").first.click()
    report(page, page.locator(".queue").get_by_role("button", name="Play Song 2"))
    assert [target for action, target in reported(bodies) if action == "play"] == ["s0", "s1", "s0", "s1"]


def test_a_preview_counts_as_the_whole_song_only_if_it_is_heard_to_its_end(page, bodies, url):
    player = show_songs(page, url, [song | {"duration_ms": 257_000} for song in SONGS], seconds=5)
    song_of(page, "Song 0").locator(".start").click()
    expect(player).to_contain_text("0:01")
    report(page, player.get_by_role("button", name="Next"))
    with page.expect_response("**/events"):
        expect(player).to_contain_text("Song 2")
    played = [one["events"][0]["played_ms"] for one in bodies["events"]]
    assert 750 <= played[0] < 5_000
    assert [load_behaviors().behavior_of("play", one, 257_000) for one in played] == ["skip", "full_play"]


def test_a_song_without_audio_has_a_link_and_is_not_reported_as_played(page, bodies, url):
    player = show_songs(page, url, SILENT_SONGS)
    song_of(page, "Song 0").locator(".start").click()
    expect(player).to_contain_text("This song has no audio.")
    link = player.get_by_role("link", name="Find it on the web")
    expect(link).to_have_attribute("href", re.compile(r"q=Song%200%20Anna$"))
    expect(player.get_by_role("button", name="Play")).to_be_disabled()
    assert browser.accessibility_violations(page) == []
    player.get_by_role("button", name="Next").click()
    expect(player).to_contain_text("Song 1")
    report(page, player.get_by_role("button", name="Like"))
    assert reported(bodies) == [("like", "s1")]


def test_the_radio_does_not_repeat_songs_without_audio(page, bodies, url):
    listed = ANSWERS["recommend"] | {"items": SILENT_SONGS}
    page.route("**/recommend", lambda route: route.fulfill(json=listed), times=1)
    page.goto(f"{url}?user=u1#/radio")
    page.get_by_role("button", name="Start the radio").click()
    player = page.get_by_role("region", name="Now playing")
    for number in range(3):
        expect(player).to_contain_text(f"Song {number}")
        player.get_by_role("button", name="Next").click()
    with page.expect_request("**/recommend") as request:
        player.get_by_role("button", name="Next").click()
    expect(player).to_contain_text("Song 4")
    assert request.value.post_data_json["exclude"] == ["s0", "s1", "s2", "s3", "s4"]
    assert reported(bodies) == []


def test_events_about_tracks_that_the_release_lacks_are_not_shown(page, bodies, url):
    event = {"ended_at": 1_700_000_000_000_000, "played_ratio": 1.0, "session": 1, "album_id": "", "album": ""}
    played = SONG | event | {"behavior": "full_play"}
    unknown = event | {"track_id": "", "title": "", "artists": [], "artist_ids": []}
    answer_with(page, "listener", events=[played, *(unknown | {"behavior": name} for name in ("full_play", "like"))])
    open_home(page, url)
    assert [body["track_id"] for body in bodies["similar"]] == ["t1"]
    assert "playlists" in [body["scene"] for body in bodies["recommend"]]
    expect(page.locator("#repeat")).to_have_count(0)
    page.goto(f"{url}?user=u1#/library/history")
    expect(page.locator(".song .title")).to_have_text(["Silver River"])


def test_a_catalog_of_ones_own_plays_has_nothing_new(page, bodies, url):
    answer_with(page, "listener", is_own_catalog=True)
    open_home(page, url)
    expect(page.locator(".shelf .notice")).to_contain_text("make run LOGS=")
    assert browser.accessibility_violations(page) == []
    assert not any(body.get("discovery") for body in bodies["recommend"])


def test_a_new_listener_starts_without_a_secure_context(page, bodies, url):
    page.add_init_script("delete Crypto.prototype.randomUUID")
    answer_with(page, "search", items=SONGS)
    page.goto(url)
    for number in range(3):
        page.locator(".picks button").nth(number).click()
    with page.expect_request("**/recommend"):
        page.get_by_role("button", name="Begin", exact=True).click()
    (user,) = {one["events"][0]["user_id"] for one in bodies["events"]}
    assert len(user) == len("guest-") + 32


@pytest.mark.parametrize(("text", "query"), [("🎵" * 201, "🎵" * 200), ("100%", "100%")], ids=["long", "not encoded"])
def test_the_address_of_a_search_is_read_as_a_query_that_the_service_accepts(page, bodies, url, text, query):
    page.goto(f"{url}?user=u1#/search/{text}")
    expect(page.locator(".song")).to_have_count(1)
    assert bodies["search"][-1]["query"] == query
