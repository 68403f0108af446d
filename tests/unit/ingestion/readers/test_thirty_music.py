"""30Music reader on handmade files in their exact format.

The shape of the lines was checked with the dataset's paper and public programs that read it: tabs in most of the files,
a space between the two objects in `love`, `-1` for what is not known, addresses for names, empty lists among the
objects.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.land import land
from storage.files import atomic_write
from tests.support.log_sources import at, landed, landed_events, quarantined

FILES = {
    "relations/events.idomaar": [
        'event.play\t0\t1390209860\t{"playtime":176}\t{"subjects":[{"type":"user","id":41504}],"objects":[{"type":"track","id":11}]}',
        'event.play\t1\t1390210060\t{"playtime":-1}\t{"subjects":[{"type":"user","id":41504}],"objects":[{"type":"track","id":12}]}',
        'event.play\t2\t1390210100\t{"playtime":0}\t{"subjects":[{"type":"user","id":41504}],"objects":[{"type":"track","id":11}]}',
        'event.play\t3\t-1\t{"playtime":20}\t{"subjects":[{"type":"user","id":1}],"objects":[{"type":"track","id":11}]}',
        'event.play\t4\t1390210100\t{"playtime":20}\t{"subjects":[],"objects":[{"type":"track","id":11}]}',
        'event.play\t5\t1390210100\t{"playtime":20}\t{"subjects":[{"type":"user"',
        "event.play 6",
        'event.play\t7\t1390210100\t{"playtime":20}\t{"subjects":[{"type":"user","id":1}],"objects":[[]]}',
        'event.play\t8\t1390210100\t{"playtime":90000}\t{"subjects":[{"type":"user","id":1}],"objects":[{"type":"track","id":11}]}',
    ],
    "relations/love.idomaar": [
        'preference\t0\t1390300000 {"value":"love"} {"subjects":[{"type":"user","id":41504}], "objects":[{"type":"track","id":12}]}',
    ],
    "relations/sessions.idomaar": ['event.session\t1\t1390209860\t{"numtracks":3,"playtime":300} {"subjects":[],"objects":[]}'],
    "entities/tracks.idomaar": [
        'track\t11\t-1\t{"duration":221000,"playcount":4,"MBID":null,"name":"Ghost/_/Say+%22Hi%22"}'
        '\t{"artists":[{"type":"person","id":5}],"albums":[{"type":"album","id":3}],"tags":[]}',
        'track\t12\t-1\t{"duration":-1,"playcount":0,"MBID":null,"name":"%D0%A2"}\t{"artists":[],"albums":null,"tags":null}',
    ],
    "entities/persons.idomaar": ['person\t5\t-1\t{"MBID":null,"name":"Ghost+B.C."}\t{}'],
    "entities/albums.idomaar": ['album\t3\t-1\t{"MBID":null,"title":"Meliora"}\t{"artists":[{"type":"person","id":5}]}'],
    "entities/playlist.idomaar": [
        'playlist\t9\t1216374191\t{"ID":2973,"Title":"my own","numtracks":2,"duration":400}'
        '\t{"subjects":[{"type":"user","id":41504}],"objects":[{"type":"track","id":12},{"type":"track","id":11},[]]}',
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ThirtyMusic")
    for name, rows in FILES.items():
        atomic_write(folder / name, "\n".join(rows) + "\n")
    land(folder, folder / "home")
    return folder / "home"


def test_plays_start_at_their_timestamp_and_have_known_or_derived_durations(home: Path) -> None:
    assert landed_events(home, "sequence_number") == [
        ("41504", "11", at("2014-01-20T09:24:20"), at("2014-01-20T09:27:16"), "play", 176_000),
        # Until the next one begins.
        ("41504", "12", at("2014-01-20T09:27:40"), at("2014-01-20T09:28:20"), "play", 40_000),
        ("41504", "11", at("2014-01-20T09:28:20"), at("2014-01-20T09:32:20"), "play", 240_000),  # last play of the user
        ("41504", "12", at("2014-01-21T10:26:40"), at("2014-01-21T10:26:40"), "like", None),
    ]


def test_invalid_lines_are_quarantined_with_their_reason(home: Path) -> None:
    broken = quarantined(home).sort("source_line")
    assert broken["source_line"].to_list() == [4, 5, 6, 7, 8, 9]
    expected = [
        "timestamp -1 is not positive",
        "user is missing",
        "properties or links are not JSON",
        "the line is not type, id, timestamp and properties",
        "no track",
        "played_ms 90000000 is not from 0 to 86400000",
    ]
    assert all(part in reason for part, reason in zip(expected, broken["reason"], strict=True)), broken["reason"]


def test_catalog_has_names_lengths_artists_and_playlists(home: Path) -> None:
    tracks = landed(home, "tracks").sort("track_id")
    assert tracks.select("track_id", "title", "artist_ids", "album_id", "duration_ms").rows() == [
        ("11", 'Say "Hi"', ["5"], "3", 221_000),
        ("12", "Т", [], None, None),
    ]
    assert landed(home, "artists").select("artist_id", "name").rows() == [("5", "Ghost B.C.")]
    assert landed(home, "albums").select("title", "artist_ids").rows() == [("Meliora", ["5"])]
    assert landed(home, "playlists").select("playlist_id", "title", "source", "track_ids").rows() == [
        ("9", "my own", "ugc", ["12", "11"])
    ]
