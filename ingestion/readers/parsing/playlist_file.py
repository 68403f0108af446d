"""Playlists of music players: M3U, M3U8 and XSPF (xspf.org), as paths relative to the landed folder."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

EXTENSIONS = (".m3u", ".m3u8", ".xspf")
MAX_PLAYLIST_BYTES = 4 << 20
MAX_ENTRIES = 10_000


class PlaylistError(Exception):
    """A playlist cannot be read; the message is the reason for the quarantine."""


def parse_playlist(name: str, content: bytes, source: Path) -> tuple[str, list[str]]:
    """Title of the playlist in a file, and paths of its tracks, relative to the landed folder or beginning with `..`.

    Args:
        name: Path of the file below the landed folder.
        content: Its bytes.
        source: The landed folder, which absolute paths in the playlist may begin with.

    Raises:
        PlaylistError: It is too large or damaged.
    """
    if len(content) > MAX_PLAYLIST_BYTES:
        raise PlaylistError(f"the file has more than {MAX_PLAYLIST_BYTES >> 20} MB; split the playlist")
    title, locations = _parse_xspf(content) if name.lower().endswith(".xspf") else _parse_m3u(name, content)
    if len(locations) > MAX_ENTRIES:
        raise PlaylistError(f"{len(locations):,} tracks, at most {MAX_ENTRIES:,} are read; split the playlist")
    folder = posixpath.dirname(name)
    return title or PurePosixPath(name).stem, [_to_relative(path, folder, source) for path in locations]


def _parse_m3u(name: str, content: bytes) -> tuple[str, list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if name.lower().endswith(".m3u8"):
            raise PlaylistError("the playlist is not UTF-8; save it as UTF-8, or rename it to .m3u") from error
        text = content.decode("cp1252", "replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    title = next((line.partition(":")[2].strip() for line in lines if line.startswith("#PLAYLIST:")), "")
    locations = [line for line in lines if line and not line.startswith("#")]
    return title, [_from_uri(line) if line.startswith("file:") else line.replace("\\", "/") for line in locations]


def _parse_xspf(content: bytes) -> tuple[str, list[str]]:
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise PlaylistError(f"the playlist is not valid XML: {type(error).__name__}: {error}") from error
    locations = [location.text or "" for location in root.iterfind("{*}trackList/{*}track/{*}location")]
    return (root.findtext("{*}title") or "").strip(), [_from_uri(uri.strip()) for uri in locations]


def _from_uri(uri: str) -> str:
    """Path of a file URI or a relative reference; "" for other schemes."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    return unquote(parts.path) if parts.scheme in ("", "file") else ""


def _to_relative(path: str, folder: str, source: Path) -> str:
    if not path.startswith("/"):
        return posixpath.normpath(posixpath.join(folder, path))
    relative = posixpath.relpath(posixpath.normpath(path), str(source))
    if relative.startswith("..") and "\0" not in path:
        # The player may know the folder by a symbolic link to it or to a folder above.
        return posixpath.relpath(posixpath.realpath(path), str(source))
    return relative
