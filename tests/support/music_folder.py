"""A folder of small music files with tags, covers and playlists."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, TALB, TCMP, TCON, TDRC, TIT2, TPE1, TPE2, UFID, USLT
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from tests.support.training.media import write_audio

EXTENSIONS = ("mp3", "flac", "ogg", "opus", "m4a")
RATE = 48_000  # Opus has no 44.1 kHz


def write_track(path: Path, seed: int, seconds: float = 0.3, **tags: str) -> Path:
    """A short chord with noise, different for each seed, with tags of the names of Vorbis comments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    time_S = np.arange(int(seconds * RATE)) / RATE
    chord_S = sum(np.sin(2 * np.pi * pitch * time_S) for pitch in random.uniform(100, 2_000, 3))
    sample_S = (0.2 * chord_S + 0.05 * random.normal(size=len(time_S))).astype(np.float32)
    write_audio(path, np.stack([sample_S, sample_S]), RATE)  # FFmpeg's encoder of Vorbis has stereo only
    set_tags(path, **tags)
    return path


def set_tags(path: Path, **tags: str) -> None:
    """Write tags of a file; `cover` is the text of an image's bytes in Latin-1."""
    cover = tags.pop("cover", "").encode("latin-1")
    match path.suffix:
        case ".mp3":
            _set_id3(path, tags, cover)
        case ".m4a":
            _set_atoms(path, tags, cover)
        case _:
            file = {".flac": FLAC, ".ogg": OggVorbis, ".opus": OggOpus}[path.suffix](path)
            for name, text in tags.items():
                file[name] = text.split("|")
            if cover:
                picture = Picture()
                picture.type, picture.mime, picture.data = 3, "image/png", cover
                if path.suffix == ".flac":
                    file.clear_pictures()
                    file.add_picture(picture)
                else:
                    file["metadata_block_picture"] = base64.b64encode(picture.write()).decode()
            file.save()


def _set_id3(path: Path, tags: dict[str, str], cover: bytes) -> None:
    file = MP3(path)
    if file.tags is None:
        file.add_tags()
    frames = {
        "title": TIT2,
        "artist": TPE1,
        "album": TALB,
        "albumartist": TPE2,
        "date": TDRC,
        "genre": TCON,
        "compilation": TCMP,
    }
    for name, text in tags.items():
        if name == "lyrics":
            file.tags.add(USLT(encoding=3, lang="eng", text=text))
        elif name == "musicbrainz_trackid":
            file.tags.add(UFID(owner="http://musicbrainz.org", data=text.encode()))
        else:
            file.tags.add(frames[name](encoding=3, text=text.split("|")))
    if cover:
        file.tags.add(APIC(mime="image/png", type=3, data=cover))
    file.save()


def _set_atoms(path: Path, tags: dict[str, str], cover: bytes) -> None:
    atoms = {"title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "albumartist": "aART", "date": "\xa9day"}
    atoms |= {
        "genre": "\xa9gen",
        "lyrics": "\xa9lyr",
        "musicbrainz_trackid": "----:com.apple.iTunes:MusicBrainz Track Id",
    }
    file = MP4(path)
    for name, text in tags.items():
        if name == "compilation":
            file["cpil"] = text == "1"
        else:
            file[atoms[name]] = [part.encode() if atoms[name].startswith("--") else part for part in text.split("|")]
    if cover:
        file["covr"] = [MP4Cover(cover, MP4Cover.FORMAT_PNG)]
    file.save()
