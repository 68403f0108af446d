"""Songs of a music server become tracks, artists and albums with the ids of a music folder's names."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from ingestion.land import land
from ingestion.readers.parsing.named_plays import name_id
from tests.support.log_sources import landed, quarantined

OPENSUBSONIC = {
    "id": "s1",
    "title": "One",
    "artist": "A & B",
    "artists": [{"id": "7", "name": "A"}, {"id": "8", "name": "B"}],
    "album": "First",
    "album_artist": "A",
    "year": 1999,
    "duration": 200,
    "genre": "Rock",
    "genres": [{"name": "Rock"}, {"name": "Pop; Folk"}],
    "moods": ["Happy"],
    "musicBrainzId": "",
    "isrc": ["USRC17607839"],
}
OLD = {"id": 2, "title": "Two", "artist": "C", "album": "First", "genre": "Jazz", "year": 0, "duration": "200"}


def test_songs_of_any_server(tmp_path: Path) -> None:
    (tmp_path / "x.subsonic").write_text(
        "\n".join([json.dumps(OPENSUBSONIC), json.dumps(OLD), json.dumps({"title": "no id"}), "{"])
    )
    assert land(tmp_path / "x.subsonic", tmp_path / "home")["subsonic"].quarantined == 2
    assert quarantined(tmp_path / "home", "tracks")["source_line"].sort().to_list() == [3, 4]
    first, second = landed(tmp_path / "home", "tracks").sort("title").to_dicts()
    assert (
        first
        | {
            "track_id": "s1",
            "recording_id": "USRC17607839",
            "artist_ids": [name_id("A"), name_id("B")],
            "album_id": name_id("album", "First", "A"),
            "duration_ms": 200_000,
            "released_on": date(1999, 1, 1),
            "styles": ["rock", "pop", "folk"],
            "emotions": ["happy"],
        }
        == first
    )
    assert (
        second
        | {
            "track_id": "2",
            "recording_id": None,
            "artist_ids": [name_id("C")],
            "album_id": name_id("album", "First", "C"),
            "duration_ms": None,
            "released_on": None,
            "styles": ["jazz"],
        }
        == second
    )
    assert sorted(landed(tmp_path / "home", "artists")["name"]) == ["A", "B", "C"]
    assert len(landed(tmp_path / "home", "albums")) == 2
