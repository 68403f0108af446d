"""Tags of MP3 (ID3), FLAC and Ogg (Vorbis comments) and M4A files in one structure.

Frames of ID3 tags whose compressed content is bounded, because a few kilobytes may unpack to gigabytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import Frame, Frames, Frames_2_2
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

MAX_TEXT, MAX_LYRICS, MAX_VALUES = 500, 20_000, 20
MAX_COVER_BYTES = 16 << 20
FRONT_COVER = 3  # type of a picture in ID3 and FLAC
IMAGE_TYPES = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
}
"""First bytes of an image to its extension."""

OGG_TYPES = (OggVorbis, OggOpus, OggFLAC)
ID3_FRAMES = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "albumartist": "TPE2",
    "date": "TDRC",
    "language": "TLAN",
    "mood": "TMOO",
    "isrc": "TSRC",
    "compilation": "TCMP",
}
MP4_ATOMS = {
    "title": "\xa9nam",
    "artist": "\xa9ART",
    "album": "\xa9alb",
    "albumartist": "aART",
    "date": "\xa9day",
    "genre": "\xa9gen",
    "lyrics": "\xa9lyr",
    "compilation": "cpil",
    "language": "----:com.apple.iTunes:LANGUAGE",
    "mood": "----:com.apple.iTunes:MOOD",
    "musicbrainz_trackid": "----:com.apple.iTunes:MusicBrainz Track Id",
    "isrc": "----:com.apple.iTunes:ISRC",
}
MUSICBRAINZ = "http://musicbrainz.org"
DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


@dataclass(frozen=True)
class AudioTags:
    """Tags of a file; empty if it has none."""

    title: str = ""
    artists: tuple[str, ...] = ()
    album: str = ""
    album_artists: tuple[str, ...] = ()
    is_compilation: bool = False
    released_on: date | None = None  # the first day of the year or month if no more is known
    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    language: str = ""
    lyrics: str = ""
    musicbrainz_recording: str = ""
    isrc: str = ""
    cover: bytes = b""
    cover_extension: str = ""  # "": no cover


def read_tags(file: Any, extension: str) -> AudioTags:
    """Tags of an open file of a format of `audio_file.FORMATS`.

    Raises:
        mutagen.MutagenError: The file is damaged.
    """
    tagged: Any  # the libraries' types do not say what tags contain
    if extension == ".mp3":
        tagged = MP3(file, known_frames=FRAMES)
        frames = tagged.tags or {}
        covers = [(int(frame.type), frame.data) for frame in frames.values() if frame.FrameID == "APIC"]
        return _tags(_id3_values(frames), covers)
    if extension == ".m4a":
        tagged = MP4(file)
        values = {name: _texts(tagged.get(atom, [])) for name, atom in MP4_ATOMS.items()}
        return _tags(values, [(FRONT_COVER, bytes(cover)) for cover in tagged.get("covr", [])[:1]])
    tagged = FLAC(file) if extension == ".flac" else mutagen.File(file, OGG_TYPES)
    if tagged is None:
        raise mutagen.MutagenError("the Ogg stream is neither Vorbis, Opus nor FLAC")
    values = {name: list(texts) for name, texts in (tagged.tags.as_dict() if tagged.tags else {}).items()}
    pictures = (
        tagged.pictures if isinstance(tagged, FLAC) else map(_decode_picture, values.get("metadata_block_picture", []))
    )
    return _tags(values, [(picture.type, picture.data) for picture in pictures if picture is not None])


def _decode_picture(text: str) -> Picture | None:
    try:
        return Picture(base64.b64decode(text))
    except Exception:  # a damaged cover is no reason to leave out the track
        return None


def _id3_values(frames: Mapping[str, Any]) -> dict[str, list[str]]:
    values = {name: _texts(getattr(frames.get(frame), "text", [])) for name, frame in ID3_FRAMES.items()}
    values["genre"] = _texts(getattr(frames.get("TCON"), "genres", []))  # resolves numbers of ID3v1
    lyrics = [frame.text for frame in frames.values() if frame.FrameID == "USLT"]
    values["lyrics"] = _texts(lyrics[:1])
    recording = getattr(frames.get(f"UFID:{MUSICBRAINZ}"), "data", b"")
    values["musicbrainz_trackid"] = _texts([recording] if recording else [])
    return values


def _texts(values: Any) -> list[str]:
    """The texts of a tag, which has a list or a single value."""
    listed = values if isinstance(values, list) else [values]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in listed]


def _tags(values: dict[str, list[str]], pictures: list[tuple[int, bytes]]) -> AudioTags:
    cover = next((data for kind, data in pictures if kind == FRONT_COVER), pictures[0][1] if pictures else b"")
    extension = image_extension(cover) if len(cover) <= MAX_COVER_BYTES else ""

    def listed(*names: str) -> tuple[str, ...]:
        texts = [_clean(text, MAX_TEXT) for name in names for text in values.get(name, [])[:MAX_VALUES]]
        return tuple(dict.fromkeys(text for text in texts if text))

    def first(*names: str) -> str:
        return next(iter(listed(*names)), "")

    lyrics = next(iter(values.get("lyrics") or values.get("unsyncedlyrics") or []), "")
    return AudioTags(
        title=first("title"),
        artists=listed("artist"),
        album=first("album"),
        album_artists=listed("albumartist", "album artist"),
        is_compilation=first("compilation").lower() in ("1", "true"),
        released_on=_parse_date(first("date", "originaldate", "year")),
        genres=split_values(listed("genre")),
        moods=split_values(listed("mood")),
        language=first("language"),
        lyrics=_clean(lyrics[:MAX_LYRICS], MAX_LYRICS, keep_lines=True),
        musicbrainz_recording=first("musicbrainz_trackid"),
        isrc=first("isrc"),
        cover=cover if extension else b"",
        cover_extension=extension,
    )


def image_extension(content: bytes) -> str:
    """Extension of the format of an image; "" if it is not supported."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((extension for magic, extension in IMAGE_TYPES.items() if content.startswith(magic)), "")


def split_values(texts: Sequence[str]) -> tuple[str, ...]:
    """Values in lower case; several in one text are separated by semicolons or slashes between spaces."""
    parts = [part.strip().lower() for text in texts for part in re.split(r";|\s/\s", text)]
    return tuple(dict.fromkeys(part for part in parts if part))[:MAX_VALUES]


def _clean(text: str, length: int, keep_lines: bool = False) -> str:
    """Valid Unicode without control characters."""
    text = text[:length].encode("utf-8", "replace").decode("utf-8").replace("\ufffd", "")
    if keep_lines:
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text).strip()
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def _parse_date(text: str) -> date | None:
    match = DATE.match(text)
    if match is None:
        return None
    year, month, day = match[1], match[2] or "01", match[3] or "01"
    for candidate in (f"{year}-{month}-{day}", f"{year}-{month}-01", f"{year}-01-01"):
        try:
            return date.fromisoformat(candidate)
        except ValueError:
            continue
    return None


class _PlainFrame:
    """A frame that is not compressed: a few bytes may unpack to gigabytes."""

    @classmethod
    def _fromData(cls, header: Any, flags: int, data: bytes) -> Any:
        is_old = header.version < header._V24
        if flags & (Frame.FLAG23_COMPRESS if is_old else Frame.FLAG24_COMPRESS):
            raise mutagen.MutagenError(f"the frame {cls.__name__} is compressed; write the tags without compression")
        return super()._fromData(header, flags, data)  # type: ignore[misc] # of the mutagen class beside this one


FRAMES = {
    **Frames_2_2,  # version 2.2 has no compression
    **{name: type(name, (_PlainFrame, frame), {}) for name, frame in Frames.items()},
}
"""Frame id to class, as `known_frames` of mutagen's readers."""
