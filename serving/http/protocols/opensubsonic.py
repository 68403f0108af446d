"""OpenSubsonic: `getSimilarSongs2`, `getSimilarSongs`, `getRandomSongs`, `ping` and `getOpenSubsonicExtensions`.

Similar songs of a song come from `/similar`, of an artist from `/recommend` with the artist's most played tracks as
seeds. Random songs come from the scene `private_fm`; with a genre or years, what `/search` finds for these words.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from serving.http.asgi import HttpError
from serving.http.protocols.internal_call import InternalApi

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup

VERSION, SERVER_VERSION = "1.16.1", "segue"
NAMESPACE = "http://subsonic.org/restapi"
MISSING_PARAMETER, NOT_FOUND, GENERIC = 10, 70, 0
"""Error codes of the protocol."""
SEEDS_PER_ARTIST = 20
MAX_SIMILAR, MAX_RANDOM, MAX_FOUND = 100, 30, 50
"""Largest responses of `/similar`, of the scene `private_fm`, and of `/search`."""
MAX_GENRE = 180
FIRST_YEAR, LAST_YEAR = 1800, 2099
"""Years that `/search` reads in a query."""

Answer = dict[str, Any]
Method = Callable[[InternalApi, str, Mapping[str, str]], Awaitable[Answer]]


class SubsonicError(Exception):
    """An error of the protocol, which is sent with HTTP status 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class OpenSubsonic:
    """Answers the methods.

    Args:
        tracks: Returns what finds the tracks of artists.
    """

    def __init__(self, tracks: Callable[[], TrackLookup]) -> None:
        self._tracks = tracks
        self.methods: dict[str, Method] = {
            "ping": self._ping,
            "getOpenSubsonicExtensions": self._extensions,
            "getSimilarSongs": self._similar,
            "getSimilarSongs2": self._similar,
            "getRandomSongs": self._random,
        }

    async def answer(self, api: InternalApi, method: str, user_id: str, given: Mapping[str, str]) -> Answer:
        """The content of `subsonic-response`."""
        base = {"version": VERSION, "type": "segue", "serverVersion": SERVER_VERSION, "openSubsonic": True}
        try:
            content = await self.methods[method](api, user_id, given)
        except SubsonicError as error:
            return {"status": "failed", **base, "error": {"code": error.code, "message": error.message}}
        except HttpError as error:
            code = NOT_FOUND if error.status == 404 else GENERIC
            return {"status": "failed", **base, "error": {"code": code, "message": error.detail}}
        if method in ("getSimilarSongs", "getSimilarSongs2"):
            content = {"similarSongs2" if method.endswith("2") else "similarSongs": content}
        return {"status": "ok", **base, **content}

    async def _ping(self, *_: object) -> Answer:
        return {}

    async def _extensions(self, *_: object) -> Answer:
        names = ("apiKeyAuthentication", "formPost")
        return {"openSubsonicExtensions": [{"name": name, "versions": [1]} for name in names]}

    async def _similar(self, api: InternalApi, user_id: str, given: Mapping[str, str]) -> Answer:
        if not given.get("id"):
            raise SubsonicError(MISSING_PARAMETER, "Required parameter id is missing: the id of an artist or a song")
        user = {"user_id": user_id} if user_id else {}
        limit = _number(given, "count", 50, MAX_SIMILAR)
        if seeds := self._tracks().artist_tracks(given["id"], SEEDS_PER_ARTIST, user_id):
            found = await api.post("/recommend", {"seeds": seeds, "limit": limit, **user})
        else:
            found = await api.post("/similar", {"track_id": given["id"], "limit": limit, **user})
        return {"song": [_song(item) for item in found["items"]]}

    async def _random(self, api: InternalApi, user_id: str, given: Mapping[str, str]) -> Answer:
        size = _number(given, "size", 10, MAX_FOUND)
        query = _query(given)
        if query or not user_id:
            user = {"user_id": user_id} if user_id else {}
            items = (await api.post("/search", {"query": query, "limit": MAX_FOUND, **user}))["items"]
            items = random.sample(items, min(size, len(items)))
        else:
            body = {"user_id": user_id, "scene": "private_fm", "limit": min(size, MAX_RANDOM)}
            items = (await api.post("/recommend", body))["items"]
        return {"randomSongs": {"song": [_song(item) for item in items]}}


def render(answer: Answer, kind: str) -> tuple[bytes, bytes]:
    """Content type and body of an answer: JSON for `json`, else XML."""
    if kind == "json":
        return b"application/json", json.dumps({"subsonic-response": answer}).encode()
    root = ElementTree.Element("subsonic-response", xmlns=NAMESPACE)
    _fill(root, answer)
    return b"text/xml; charset=utf-8", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _fill(element: ElementTree.Element, content: Mapping[str, Any]) -> None:
    """Scalars become attributes, objects and lists of objects become elements."""
    for name, value in content.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                _fill(ElementTree.SubElement(element, name), one)
            elif isinstance(value, list):
                ElementTree.SubElement(element, name).text = _xml_text(one)
            else:
                element.set(name, _xml_text(one))


def _xml_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "".join(character for character in str(value) if character.isprintable())


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise SubsonicError(GENERIC, f"{name} {text[:16]!r} is not a positive number")
    return min(int(text[:9]), most)


def _query(given: Mapping[str, str]) -> str:
    """What `/search` finds songs of the genre and of the years by, both years included; "" without them."""
    words = [given["genre"][:MAX_GENRE]] if given.get("genre") else []
    if given.get("fromYear") or given.get("toYear"):
        first = _number(given, "fromYear", FIRST_YEAR, LAST_YEAR)
        last = _number(given, "toYear", LAST_YEAR, LAST_YEAR)
        words.append(f"{max(first, FIRST_YEAR)}-{max(last, FIRST_YEAR)}")
    return " ".join(words)


def _song(item: Mapping[str, Any]) -> Answer:
    artists = item.get("artists", [])
    song = {
        "id": item["track_id"],
        "isDir": False,
        "title": item["title"],
        "artist": ", ".join(artists),
        "type": "music",
        "mediaType": "song",
    }
    if ids := item.get("artist_ids"):
        song["artistId"] = ids[0]
        song["artists"] = [{"id": one, "name": name} for one, name in zip(ids, artists, strict=False)]
    if item.get("duration_ms"):
        song["duration"] = round(item["duration_ms"] / 1000)
    return song
