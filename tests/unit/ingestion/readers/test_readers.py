"""Log readers on files in the exact format of each."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion import source_files
from ingestion.land import land
from ingestion.source_files import SourceError
from storage.suppression_list import SuppressionList
from tests.support.log_sources import event, export, json_lines, landed, play_log, quarantined

BASIC = [
    {"endTime": "2021-03-01 10:04", "artistName": "Ghost", "trackName": "Cirice", "msPlayed": 240_000},
    {"endTime": "2021-03-01 10:04", "artistName": "Ghost", "trackName": "Cirice", "msPlayed": 240_000},
    {"endTime": "2021-03-01 11:30", "artistName": "GHOST", "trackName": "cirice ", "msPlayed": 1_000},
]


def extended(ts: str, **columns: Any) -> dict[str, Any]:
    row = {
        "ts": ts,
        "username": "somebody",
        "platform": "Android OS 10 API 29 (a phone)",
        "ms_played": 200_000,
        "conn_country": "NL",
        "ip_addr_decrypted": "192.0.2.1",
        "master_metadata_track_name": "Cirice",
        "master_metadata_album_artist_name": "Ghost",
        "master_metadata_album_album_name": "Meliora",
        "spotify_track_uri": "spotify:track:5ofoB8PFmocBXFBEWVb6Vz",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "reason_start": "trackdone",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": None,
        "offline": False,
        "offline_timestamp": 0,
        "incognito_mode": False,
    }
    return row | columns


def zipped(folder: Path, path: Path, inside: str = "MyData") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}/{file.name}")
    return path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("events.csv", "user_id,ts,track_id\n1,1600000000,1\n", "has no column artist_id, ms_played"),
        ("plays.csv", "who,what,when\n", r"columns of plays\.csv are unknown; write a segue-mapping\.yaml"),
    ],
)
def test_unknown_columns_are_an_error_that_names_the_remedy(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        land(tmp_path / name, tmp_path / "home")


def test_folder_and_zip_of_a_basic_export_give_the_same_events(tmp_path: Path) -> None:
    folder = export(tmp_path / "anna", StreamingHistory0=BASIC[:2], StreamingHistory1=BASIC[2:])
    land(folder, tmp_path / "one")
    land(zipped(folder, tmp_path / "anna.zip"), tmp_path / "two")
    events = landed(tmp_path / "one").sort("sequence_number")
    assert events.select("user_id", "played_ms", pl.col("occurred_at").dt.strftime("%H:%M")).rows() == [
        ("anna", 240_000, "10:00"),
        ("anna", 240_000, "10:04"),
        ("anna", 1_000, "11:20"),
    ]
    assert events["target_id"].n_unique() == 1  # the same artist and title, whatever the case
    assert set(landed(tmp_path / "two")["event_id"]) == set(events["event_id"])


def test_extended_export_uses_uris_and_quarantines_episodes(tmp_path: Path) -> None:
    rows = [
        extended("2022-01-01T10:00:00Z"),
        extended("2022-01-01T11:00:00Z", master_metadata_track_name=None, spotify_track_uri=None, episode_name="Talk"),
        extended("2022-01-01T12:00:00Z", spotify_track_uri=None),
        extended("2022-01-01T13:00:00Z", master_metadata_track_name=None, spotify_track_uri=None),
        "not a play",
    ]
    land(
        export(tmp_path / "ben", endsong_0=rows[:2], **{"Streaming_History_Audio_2022_1": rows[2:]}), tmp_path / "home"
    )
    tracks = landed(tmp_path / "home", "tracks")
    assert "5ofoB8PFmocBXFBEWVb6Vz" in tracks["track_id"] and tracks["recording_id"].n_unique() == 1
    assert landed(tmp_path / "home").height == 2
    assert sorted(quarantined(tmp_path / "home")["reason"]) == [
        "a podcast episode or an audiobook, not a track",
        "no track: neither a track id nor a title and an artist",
        "the row is not a JSON object",
    ]
    everything = b"".join(file.read_bytes() for file in (tmp_path / "home" / "landing").rglob("*.parquet"))
    assert b"192.0.2.1" not in everything and b"somebody" not in everything


def test_basic_plays_covered_by_the_extended_form_are_duplicates(tmp_path: Path) -> None:
    counts = land(
        export(tmp_path / "cy", StreamingHistory0=BASIC, endsong_0=[extended("2021-03-01T10:04:31Z")]),
        tmp_path / "home",
    )["streaming_history"]
    assert (counts.landed, counts.duplicate) == (1 + 1 + 4, 2)  # two plays; two tracks, an artist, an album


def test_exports_in_separate_folders_are_separate_users_whatever_their_names(tmp_path: Path) -> None:
    export(tmp_path / "all" / "dora@example.com" / "MyData", StreamingHistory0=BASIC[:1])
    export(tmp_path / "all" / "dora@example.org", StreamingHistory0=BASIC[1:])
    zipped(export(tmp_path / "j.smith", StreamingHistory0=BASIC), tmp_path / "all" / "j.smith.zip")
    land(tmp_path / "all", tmp_path / "home")
    assert landed(tmp_path / "home").group_by("user_id").len().sort("user_id").rows() == [
        ("dora@example.com", 1),
        ("dora@example.org", 2),
        ("j.smith", 3),
    ]


def test_a_folder_of_an_erased_user_is_not_named_as_source(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    SuppressionList().with_users(["j.smith"]).write(tmp_path / "home" / "suppression_list.json")
    for name in ("j.smith", "j.jones"):
        land(export(tmp_path / name, StreamingHistory0=BASIC[:1]), tmp_path / "home")
    assert landed(tmp_path / "home")["user_id"].to_list() == ["j.jones"]
    assert sorted(landed(tmp_path / "home", "landings")["source"]) == ["forgotten", "j.jones"]


@pytest.mark.parametrize("written", ["", "<html>Log in</html>", '[{"endTime": '])
def test_export_without_plays_is_an_error(tmp_path: Path, written: str) -> None:
    folder = export(tmp_path / "hal", StreamingHistory0=BASIC)
    (folder / "StreamingHistory1.json").write_text(written)
    with pytest.raises(SourceError, match=r"StreamingHistory1\.json is not valid JSON .*download the export again"):
        land(folder, tmp_path / "home")


def test_artist_genres_are_converted_to_triples_by_name(tmp_path: Path) -> None:
    lines = [
        "artist_name\trelation\tgenre_or_tag\tsources",
        "Ghost\thas_genre\trock\ttag",
        'The "X"\thas_genre\tpop\ttag',
        "\thas_genre\tpop\tx",
    ]
    with gzip.open(tmp_path / "artist_genre.tsv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    counts = land(tmp_path / "artist_genre.tsv.gz", tmp_path / "home")["artist_genres"]
    triples = landed(tmp_path / "home", "knowledge_triples").sort("head").select("head", "relation", "tail").rows()
    assert triples == [
        ("artist_name:Ghost", "has_genre", "genre:rock"),
        ('artist_name:The "X"', "has_genre", "genre:pop"),
    ]
    assert counts.quarantined == 1


def test_own_tables_as_json_lines_and_parquet(tmp_path: Path) -> None:
    json_lines(tmp_path / "own" / "dt=2026-05-01" / "x.jsonl", [event(1), "{torn", "[]", event(2, target_id=["t"])])
    json_lines(tmp_path / "own" / "playlists.jsonl", [
        {"playlist_id": "p1", "title": "One", "source": "ugc", "track_ids": ["t1", "t2"]},
        {"playlist_id": "p2", "title": "Two", "source": "radio", "track_ids": []},
        {"playlist_id": "p3", "title": "Three", "source": "mgc", "track_ids": "t1"},
    ])  # fmt: skip
    pl.DataFrame({"track_id": ["t1"], "audio_vector": [[0.5, 1.0]], "duration_ms": [1000]}).write_parquet(
        tmp_path / "own" / "tracks" / "part.parquet", mkdir=True
    )
    land(tmp_path / "own", tmp_path / "home")
    assert landed(tmp_path / "home")["event_id"].to_list() == ["e1"]
    assert sorted(quarantined(tmp_path / "home")["reason"]) == [
        "target_id is not a single value",
        "the line is not JSON",
        "the line is not a JSON object",
    ]
    assert landed(tmp_path / "home", "playlists").select("source", "track_ids").rows() == [("ugc", ["t1", "t2"])]
    broken = quarantined(tmp_path / "home", "playlists").sort("source_line").select("source", "reason").rows()
    assert [source for source, _ in broken] == ["playlists.jsonl"] * 2
    assert "source radio is not one of ugc, mgc" in broken[0][1] and "track_ids is not a list" in broken[1][1]
    assert landed(tmp_path / "home", "tracks")["audio_vector"].to_list() == [[0.5, 1.0]]


def test_zip_bomb_is_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("StreamingHistory0.json", b"[" + b" " * (64 << 20) + b"]")
    with pytest.raises(SourceError, match=r"StreamingHistory0\.json in .*would unpack from [\d,]+ to 67,108,866 bytes"):
        land(tmp_path / "bomb.zip", tmp_path / "home")


def test_a_zip_with_many_files_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "MAX_MEMBERS", 1)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"StreamingHistory{number}.json", "[]")
    with pytest.raises(SourceError, match=r"many\.zip has 2 files; at most 1 files of a zip are read"):
        source_files.list_members(tmp_path / "many.zip")


def test_paths_in_a_zip_cannot_escape_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in ("../../outside/StreamingHistory0.json", "/abs/StreamingHistory1.json"):
            archive.writestr(name, json.dumps(BASIC[:1]))
    assert [member.name for member in source_files.list_members(tmp_path / "evil.zip")] == [
        "abs/StreamingHistory1.json",
        "outside/StreamingHistory0.json",
    ]
    before = set(tmp_path.rglob("*"))
    land(tmp_path / "evil.zip", tmp_path / "home")
    assert {
        path for path in set(tmp_path.rglob("*")) - before if (tmp_path / "home") not in [path, *path.parents]
    } == set()


@pytest.mark.parametrize("name", ["events.csv.gz", "listening_events.jsonl.gz", "listening_events.parquet"])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    log = play_log(tmp_path / "log", [f"7,{1600000000 + n * 60},{n},1,{n * 977}" for n in range(20_000)])
    rows = [event(n % 60, event_id=f"e{n * 7919}") for n in range(200)]
    pl.DataFrame(rows).write_parquet(log / "listening_events.parquet")
    (log / "listening_events.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (log / name).write_bytes((log / name).read_bytes()[:-200])
    with pytest.raises(SourceError, match=rf"{name} is damaged .*; get the file again"):
        land(log / name, tmp_path / "home")


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_zip_with_a_wrong_byte_is_an_error_that_names_the_file(tmp_path: Path, at: float) -> None:
    rows = [extended(f"2022-01-01T10:{n // 60:02d}:{n % 60:02d}Z", ms_played=n * 977) for n in range(500)]
    whole = zipped(export(tmp_path / "jo", endsong_0=rows), tmp_path / "jo.zip")
    content = bytearray(whole.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    whole.write_bytes(content)
    with pytest.raises(SourceError, match=r"endsong_0\.json is damaged .*; get the file again"):
        land(whole, tmp_path / "home")
