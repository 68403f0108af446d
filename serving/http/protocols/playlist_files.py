"""Playlist files of the tracks in a response: XSPF, JSPF and M3U.

A track has a location only if the service knows its audio, and always an identifier (`urn:segue:track:ID`). M3U has locations
only, so tracks without audio are comments there. The tracks of playlists and short videos follow one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

NAMESPACE = "http://xspf.org/ns/0/"
MEDIA_TYPES = {"xspf": "application/xspf+xml", "jspf": "application/jspf+json", "m3u": "audio/x-mpegurl"}
"""Format → content type."""

Track = dict[str, Any]


def choose_format(accept: str, requested: str | None) -> str | None:
    """The format that a request names in its query or its header Accept; None for JSON.

    Raises:
        ValueError: The query names an unknown one.
    """
    if requested is not None:
        if requested not in (*MEDIA_TYPES, "json"):
            raise ValueError(f"format {requested[:32]!r} is not one of {', '.join(MEDIA_TYPES)}, json")
        return None if requested == "json" else requested
    accepted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return next((name for name, media_type in MEDIA_TYPES.items() if media_type in accepted), None)


def render(kind: str, title: str, items: Sequence[Mapping[str, Any]], base_url: str) -> bytes:
    """A playlist file of the items of a response; `base_url` is the address of the service."""
    tracks = [_track(item, base_url) for item in _tracks(items)]
    return {"xspf": _xspf, "jspf": _jspf, "m3u": _m3u}[kind](_text(title), tracks)


def _tracks(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        if "track_id" in item:
            yield item
        else:
            yield from ({"reason": item.get("reason", ""), **track} for track in item["tracks"])


def _track(item: Mapping[str, Any], base_url: str) -> Track:
    track: Track = {
        "identifier": f"urn:segue:track:{quote(item['track_id'], safe='')}",
        "title": _text(item["title"]),
        "creator": _text(", ".join(item.get("artists", []))),
        "annotation": _text(item.get("reason", "")),
        "duration": item.get("duration_ms") or None,
        "location": _absolute(item.get("audio_url"), base_url),
        "image": _absolute(item.get("cover_url"), base_url),
    }
    return {name: value for name, value in track.items() if value}


def _xspf(title: str, tracks: list[Track]) -> bytes:
    root = ElementTree.Element("playlist", version="1", xmlns=NAMESPACE)
    ElementTree.SubElement(root, "title").text = title
    listed = ElementTree.SubElement(root, "trackList")
    order = ("location", "identifier", "title", "creator", "annotation", "image", "duration")
    for track in tracks:
        element = ElementTree.SubElement(listed, "track")
        for name in order:
            if name in track:
                ElementTree.SubElement(element, name).text = str(track[name])
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _jspf(title: str, tracks: list[Track]) -> bytes:
    lists = ("location", "identifier")
    listed = [{name: [value] if name in lists else value for name, value in track.items()} for track in tracks]
    return json.dumps({"playlist": {"title": title, "track": listed}}, ensure_ascii=False).encode()


def _m3u(title: str, tracks: list[Track]) -> bytes:
    lines = ["#EXTM3U", f"#PLAYLIST:{title}"]
    for track in tracks:
        song = track.get("title", track["identifier"])
        name = f"{track['creator']} - {song}" if "creator" in track else song
        if "location" in track:
            lines += [f"#EXTINF:{round(track.get('duration', -1000) / 1000)},{name}", track["location"]]
        else:
            lines.append(f"# without audio: {name}")
    return "\n".join([*lines, ""]).encode()


def _absolute(url: str | None, base_url: str) -> str | None:
    return urljoin(base_url, url) if url else None


def _text(text: str) -> str:
    """The text on one line, without characters that XML forbids."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
