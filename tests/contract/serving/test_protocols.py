"""Other protocols, with published client libraries against a running service."""

import time
from xml.etree import ElementTree

import httpx
import liblistenbrainz
import pytest

from serving.http.protocols.playlist_files import NAMESPACE
from tests.contract.serving.test_service import client  # noqa: F401

XSPF = {"x": NAMESPACE}


@pytest.fixture
def listenbrainz(url):
    opened = liblistenbrainz.ListenBrainz(api_base_url=url)
    opened.set_auth_token("scrobbler")  # validates the token
    return opened


def listen(title="Song 2", artist="artist 1", began_ago_s=120, **info):
    return liblistenbrainz.Listen(title, artist, int(time.time()) - began_ago_s, additional_info=info)


def test_listens_become_plays(listenbrainz):
    single = listenbrainz.submit_single_listen(listen(duration_played=90))
    assert single == {"status": "ok", "accepted": 1, "duplicate": 0, "rejected": [], "unmatched": 0}
    again = listen("SONG  2", "Artist 1", 600)
    assert listenbrainz.submit_multiple_listens([listen("Song 4", "Artist 2", 900), again])["accepted"] == 2
    assert listenbrainz.submit_multiple_listens([again])["duplicate"] == 1


def test_listens_of_unknown_tracks_are_counted(listenbrainz):
    assert listenbrainz.submit_single_listen(listen("No such song"))["unmatched"] == 1
    assert listenbrainz.submit_single_listen(listen("Song 2", "Another artist"))["unmatched"] == 1
    # A recording id may belong to a track of a later release.
    named = listen("No such song", recording_mbid="1f1e1a2b-0000-4000-8000-000000000000")
    assert listenbrainz.submit_single_listen(named)["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        pytest.param(b"[" * 100_000, "the body is not JSON: maximum recursion depth exceeded", id="deeply nested"),
        (b"[]", "listen_type 'None' is not one of single, import, playing_now"),
        (b'{"listen_type": "single", "payload": []}', "1 to 1 listens"),
        (b'{"listen_type": "import", "payload": [{}]}', "track_metadata.artist_name is missing"),
        (
            b'{"listen_type": "single", "payload": [{"track_metadata": {"artist_name": "a", "track_name": "t"}}]}',
            "listened_at is not a number",
        ),
    ],
)
def test_invalid_listens_are_rejected_with_the_reason(url, body, message):
    answer = httpx.post(f"{url}/1/submit-listens", content=body, headers={"Authorization": "Token scrobbler"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/recommend", {"user_id": "u", "scene": "private_fm", "limit": 2}),
        ("/similar", {"track_id": "t0", "limit": 2}),
        ("/path", {"from": "t2", "to": "t7", "length": 3}),
        ("/search", {"query": "calm", "limit": 2}),
    ],
)
def test_lists_as_playlist_files(url, path, body):
    answer = httpx.post(url + path, json=body, headers={"Accept": "application/xspf+xml"})
    assert answer.headers["content-type"] == "application/xspf+xml"
    tracks = ElementTree.fromstring(answer.content).findall("x:trackList/x:track", XSPF)
    assert 2 <= len(tracks) <= 3
    assert all(track.find("x:identifier", XSPF).text.startswith("urn:segue:track:t") for track in tracks)
    listed = httpx.post(f"{url}{path}?format=jspf", json=body).json()["playlist"]["track"]
    assert len(listed) == len(tracks) and all(track["title"].startswith("Song ") for track in listed)


def test_errors_of_exported_lists_are_problems(url):
    wrong = httpx.post(f"{url}/recommend?format=pls", json={"user_id": "u"})
    assert wrong.status_code == 400 and "format 'pls' is not one of xspf, jspf, m3u, json" in wrong.json()["detail"]
    missing = httpx.post(f"{url}/similar?format=m3u", json={"track_id": "nowhere"})
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert httpx.post(f"{url}/recommend?format=json", json={"user_id": "u", "limit": 1}).json()["items"]
