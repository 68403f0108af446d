"""Playlist files of responses: addresses of media, with the file formats' own fields."""

import re

import pytest

from serving.http.protocols.playlist_files import render

HOST = "http://h:3000"


@pytest.mark.parametrize("kind", ["xspf", "jspf", "m3u"])
@pytest.mark.parametrize(
    ("audio_url", "location"),
    [
        ("media/preview/t%2F1", f"{HOST}/media/preview/t%2F1"),
        ("https://music.example/1.ogg?a=b", "https://music.example/1.ogg?a=b"),
    ],
)
def test_locations_are_complete_addresses(kind, audio_url, location):
    track = {"track_id": "t/1", "title": "One", "audio_url": audio_url, "cover_url": "media/cover/t%2F1"}
    content = render(kind, "list", [track], HOST).decode()
    assert re.findall(r"http[^\s\"<]*/(?:preview|1\.ogg)[^\s\"<]*", content) == [location]
    assert (f"{HOST}/media/cover/t%2F1" in content) == (kind != "m3u")


def test_m3u_names_a_track_without_a_title_by_its_identifier():
    tracks = [{"track_id": "t1", "title": "", "artists": ["A"]}, {"track_id": "t2", "title": "", "audio_url": "a.ogg"}]
    lines = render("m3u", "list", tracks, HOST).decode().splitlines()
    assert lines[2:] == ["# without audio: A - urn:segue:track:t1", "#EXTINF:-1,urn:segue:track:t2", f"{HOST}/a.ogg"]
