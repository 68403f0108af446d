"""A folder of music files becomes tracks, artists, albums, covers and playlists."""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path

import pytest
from mutagen import File
from mutagen.id3 import BitPaddedInt
from mutagen.mp3 import MP3

from ingestion.land import land
from ingestion.readers import music_folder
from ingestion.readers.parsing import audio_file
from ingestion.readers.parsing.audio_file import AudioFileError, read_audio_file
from ingestion.readers.parsing.named_plays import name_id
from ingestion.source_files import SourceError
from storage.media_paths import register_root
from tests.support.log_sources import json_lines, landed, quarantined
from tests.support.music_folder import EXTENSIONS, set_tags, write_track

PNG = "\x89PNG\r\n\x1a\ncover"


def read(path: Path) -> audio_file.AudioFile:
    return read_audio_file(path.name, path.stat().st_size, lambda: path.open("rb"))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_has_tags_cover_and_length(tmp_path: Path, extension: str) -> None:
    path = write_track(
        tmp_path / f"a.{extension}",
        seed=1,
        seconds=1,
        title="晚安 \N{MUSICAL SYMBOL G CLEF}",
        artist="Ghost|Rise",
        album="Meliora",
        albumartist="Ghost",
        date="2015-08-21",
        genre="Hard Rock; Metal",
        lyrics="one\ntwo",
        musicbrainz_trackid="0b1a9c9c-1",
        compilation="1",
        cover=PNG,
    )
    found = read(path)
    tags = found.tags
    assert (tags.title, tags.artists, tags.album) == ("晚安 \N{MUSICAL SYMBOL G CLEF}", ("Ghost", "Rise"), "Meliora")
    assert (tags.album_artists, tags.released_on, tags.is_compilation) == (("Ghost",), date(2015, 8, 21), True)
    assert (tags.genres, tags.lyrics, tags.musicbrainz_recording) == (("hard rock", "metal"), "one\ntwo", "0b1a9c9c-1")
    assert (tags.cover.decode("latin-1"), tags.cover_extension) == (PNG, "png")
    assert found.duration_ms is not None and abs(found.duration_ms - 1_000) < 100
    File(path).delete()
    assert (read(path).audio_id, read(path).tags.title) == (found.audio_id, "")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_id_survives_editing_tags_and_differs_for_other_audio(tmp_path: Path, extension: str) -> None:
    path = write_track(tmp_path / f"a.{extension}", seed=1)
    before = read(path)
    assert before.tags.title == ""
    set_tags(path, title="x" * 5_000, artist="a" * 300, lyrics="la " * 20_000, cover=PNG * 9_000)
    assert read(path).audio_id == before.audio_id
    if extension == "mp3":
        path.write_bytes(path.read_bytes() + b"TAG" + b"\0" * 125)  # ID3v1
        assert read(path).audio_id == before.audio_id
    assert read(write_track(tmp_path / f"b.{extension}", seed=2)).audio_id != before.audio_id


def test_a_folder_becomes_tracks_artists_and_albums(tmp_path: Path) -> None:
    music, home = tmp_path / "music", tmp_path / "home"
    one = {"artist": "Ghost", "album": "Meliora", "date": "2015"}
    write_track(music / "Ghost" / "01.flac", 1, title="Spirit", genre="Metal", cover=PNG, **one)
    write_track(music / "Ghost" / "02.mp3", 2, title="Cirice", cover=PNG, **(one | {"date": "2014-06"}))
    write_track(music / "Mix" / "a.ogg", 3, title="Dreams", artist="GHOST ", album="Hits")
    write_track(music / "Mix" / "b.opus", 4, title="Night", artist="Rise", album="Hits")
    write_track(music / "loose.m4a", 5)
    (music / "Mix" / "Folder.jpg").write_bytes(b"\xff\xd8\xff")
    counts = land(music, home)
    assert (counts["music_folder"].landed, counts["music_folder"].quarantined) == (5 + 3 + 2, 0)
    prefix = register_root(home / "media", music)
    (cover,) = (home / "media" / "covers").iterdir()
    assert cover.read_bytes().decode("latin-1") == PNG
    ghost, rise, shared = [name_id("Ghost")], [name_id("Rise")], f"media:covers/{cover.name}"
    tracks = landed(home, "tracks").sort("title").select("title", "audio_path", "artist_ids", "styles", "cover_path")
    assert tracks.rows() == [
        ("Cirice", f"{prefix}Ghost/02.mp3", ghost, [], shared),
        ("Dreams", f"{prefix}Mix/a.ogg", ghost, [], f"{prefix}Mix/Folder.jpg"),
        ("Night", f"{prefix}Mix/b.opus", rise, [], f"{prefix}Mix/Folder.jpg"),
        ("Spirit", f"{prefix}Ghost/01.flac", ghost, ["metal"], shared),
        ("loose", f"{prefix}loose.m4a", [], [], None),
    ]
    assert landed(home, "albums").sort("title").select("title", "released_on", "artist_ids").rows() == [
        ("Hits", None, [name_id("Various Artists")]),
        ("Meliora", date(2014, 6, 1), ghost),
    ]
    assert landed(home, "artists")["name"].sort().to_list() == ["Ghost", "Rise", "Various Artists"]


def test_playlists_name_the_tracks_of_the_folder(tmp_path: Path) -> None:
    music, home = tmp_path / "music", tmp_path / "home"
    for seed, name in enumerate(("A/1.flac", "A/2 é.flac", "B/3.flac")):
        write_track(music / name, seed, title=name)
    (music / "lists").mkdir()
    (tmp_path / "link").symlink_to(music)
    (music / "lists" / "mix.m3u8").write_text(
        f"\ufeff#EXTM3U\n#PLAYLIST:晚安\n#EXTINF:1,x\n../A/1.flac\r\n..\\B\\3.flac\n{music}/A/2 e\u0301.flac\n"
        "../../outside.flac\nhttp://radio.example/x.mp3\n/etc/passwd\n",
        encoding="utf-8",
    )
    (music / "A" / "old.m3u").write_bytes("2 é.flac\n".encode("cp1252"))
    uri = (music / "B" / "3.flac").as_uri()
    (music / "list.xspf").write_text(
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><title>X</title><trackList>'
        f"<track><location>A/2%20%C3%A9.flac</location></track><track><location>{uri}</location></track>"
        "<track><location>http://a/b.mp3</location></track><track/></trackList></playlist>"
    )
    (music / "linked.m3u").write_text(f"{tmp_path}/link/B/3.flac\n{tmp_path}/link/../etc/passwd\n/a\0b\n")
    (music / "empty.m3u").write_text("missing.flac\n")
    (music / "bomb.xspf").write_text('<!DOCTYPE a [<!ENTITY b "c">]><playlist>&b;</playlist>')
    (music / "torn.xspf").write_text("<playlist>")
    (music / "latin.m3u8").write_bytes(b"\xe9.flac")
    land(music, home)
    title_of = dict(landed(home, "tracks").select("track_id", "title").rows())
    found = {
        row["title"]: [title_of[track] for track in row["track_ids"]]
        for row in landed(home, "playlists").iter_rows(named=True)
    }
    assert found == {
        "晚安": ["A/1.flac", "B/3.flac", "A/2 é.flac"],
        "old": ["A/2 é.flac"],
        "X": ["A/2 é.flac", "B/3.flac"],
        "linked": ["B/3.flac"],
    }
    assert set(quarantined(home, "playlists")["source"]) == {"empty.m3u", "bomb.xspf", "torn.xspf", "latin.m3u8"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp3", b"", "the file is empty"),
        ("text.ogg", b"no audio", "the file is not readable as audio"),
        ("wrong.mp3", None, "the content is flac, the extension .mp3; rename the file"),
        ("playlist.m4a", b"#EXTM3U\n/etc/passwd\n", "the file is not readable as audio"),
    ],
)
def test_a_damaged_file_is_quarantined(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    good = write_track(tmp_path / "music" / "good.flac", 1).read_bytes()
    (tmp_path / "music" / name).write_bytes(good if content is None else content)
    assert land(tmp_path / "music", tmp_path / "home")["music_folder"].quarantined == 1
    ((source, found),) = quarantined(tmp_path / "home", "tracks").select("source", "reason").rows()
    assert source == name and reason in found


def test_links_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    music, home = tmp_path / "music", tmp_path / "home"
    write_track(music / "good.flac", 1)
    (music / "link.flac").symlink_to(write_track(tmp_path / "secret.flac", 3))
    targets = {"link.m3u": tmp_path / "secret.m3u", "cover.jpg": tmp_path / "cover.jpg"}
    for name, target in (targets | {"inside.flac": "good.flac", "loop.mp3": "loop.mp3"}).items():
        (music / name).symlink_to(target)
    land(music, home)
    assert set(quarantined(home, "tracks")["source"]) == {"link.flac", "loop.mp3"}
    assert quarantined(home, "playlists")["source"].to_list() == ["link.m3u"]
    assert landed(home, "tracks")["cover_path"].to_list() == [None]


@pytest.mark.parametrize("version", [3, 4])
def test_a_compressed_frame_is_not_read(tmp_path: Path, version: int) -> None:
    path = write_track(tmp_path / "music" / "a.mp3", 1)
    MP3(path).delete()
    compressed, bits = (0x80, 8) if version == 3 else (0x08 | 0x01, 7)
    title = BitPaddedInt.to_str(len(b"\0Small"), bits=bits) + zlib.compress(b"\0Small")
    frame = b"TIT2" + BitPaddedInt.to_str(len(title), bits=bits) + bytes([0, compressed]) + title
    path.write_bytes(b"ID3" + bytes([version, 0, 0]) + BitPaddedInt.to_str(len(frame)) + frame + path.read_bytes())
    land(tmp_path / "music", tmp_path / "home")
    (reason,) = quarantined(tmp_path / "home", "tracks")["reason"]
    assert reason.endswith("MutagenError: the frame TIT2 is compressed; write the tags without compression")


def test_a_size_or_a_tag_beyond_the_limit_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_track(tmp_path / "a.mp3", 1, title="x", cover=PNG + "x" * 200_000)
    monkeypatch.setattr(audio_file, "MAX_TAG_BYTES", 100_000)
    with pytest.raises(AudioFileError, match="the tags and tables have more than"):
        read(path)
    with pytest.raises(AudioFileError, match="audio files have at most"):
        read_audio_file("a.mp3", audio_file.MAX_FILE_BYTES + 1, lambda: path.open("rb"))
    monkeypatch.setattr(music_folder, "MAX_FILES", 0)
    with pytest.raises(SourceError, match="has 1 audio files; land at most 0 at once"):
        land(tmp_path, tmp_path / "home")


def test_audio_beside_a_catalog_is_not_landed_twice(tmp_path: Path) -> None:
    write_track(tmp_path / "log" / "audio" / "a.flac", 1)
    json_lines(tmp_path / "log" / "tracks.jsonl", [{"track_id": "t", "audio_path": "audio/a.flac"}])
    assert list(land(tmp_path / "log", tmp_path / "home")) == ["own_events"]
