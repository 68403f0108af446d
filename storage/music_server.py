"""A music server with the Subsonic API: its songs, as one of its accounts sees them, and any other call.

Requests are POST forms, so that no credential is in a URL, which servers and HTTP clients log. The password is proved by a salted hash;
it is sent itself only to a server that cannot verify a hash, and only if the settings demand an encrypted connection or this machine.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from config.settings import MusicServerSettings
from storage.files import atomic_write

API_VERSION = "1.13.0"
"""The first version with salted hashes; servers may reject clients of a later version than theirs."""
TIMEOUT_S = 30
MAX_BYTES = 32 << 20
"""Largest response: an album of some thousand songs has 3 MB."""
ALBUMS_PER_PAGE, MAX_ALBUMS, MAX_SONGS = 500, 50_000, 500_000
NO_HASHES = (10, 41)
"""Error codes of a server that cannot verify a hash: the password is missing, hashes are not supported."""
SONG_FIELDS = (
    *("id", "title", "artist", "artists", "album", "year", "duration", "genre", "genres"),
    *("musicBrainzId", "isrc", "moods"),
)
"""What is kept of a song: nothing that changes with each play."""
LIBRARY_FILE = Path("music_server") / "library.subsonic"
"""The songs of the last landing, below the home."""


class MusicServerError(Exception):
    """The server does not answer or rejects a request; the message names it, the method and the remedy."""

    def __init__(self, message: str, code: object = None) -> None:
        super().__init__(message)
        self.code = code


class MusicServer:
    """The API as one account may use it.

    Args:
        settings: Address of the server.
        account: Name of the account.
        password: Its password.

    Raises:
        MusicServerError: See `call`.
    """

    def __init__(self, settings: MusicServerSettings, account: str, password: str) -> None:
        self.url, self.account, self._password = settings.url, account, password
        self._http, self._is_hashed = httpx.Client(timeout=TIMEOUT_S), True
        try:
            self.call("ping")
        except MusicServerError as error:
            if error.code not in NO_HASHES or settings.allow_http:
                raise
            self._is_hashed = False

    def call(self, method: str, **parameters: str | int | Sequence[str]) -> dict[str, Any]:
        """The content of the response to a method; a parameter with several values is sent several times.

        Raises:
            MusicServerError: The server does not answer, or not as the protocol says, or rejects the request.
        """
        form = {"u": self.account, **self._proof(), "v": API_VERSION, "c": "segue", "f": "json", **parameters}
        body = bytearray()
        try:
            with self._http.stream("POST", f"{self.url}/rest/{method}.view", data=form) as response:
                response.raise_for_status()
                for block in response.iter_bytes():
                    body += block
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"more than {MAX_BYTES >> 20} MB")
            answer: dict[str, Any] = json.loads(body)["subsonic-response"]
            error = answer["error"] if answer["status"] != "ok" else None
            rejected = error and (str(error["message"])[:200], error["code"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError, RecursionError) as failure:
            raise MusicServerError(
                f"{method} of {self.url} failed ({type(failure).__name__}: {' '.join(str(failure).split())[:200]}); check that it "
                "is a Subsonic server and runs, or correct SEGUE_SUBSONIC_URL"
            ) from failure
        if rejected:
            raise MusicServerError(
                f"{self.url} rejects {method} for account {self.account!r}: {rejected[0]}", rejected[1]
            )
        return answer

    def songs(self) -> Iterator[dict[str, Any]]:
        """The songs of all albums: SONG_FIELDS where the server states them, and `album_artist`.

        Raises:
            MusicServerError: See `call`.
        """
        offset = 0
        page: dict[str, str | int] = {"type": "alphabeticalByName", "size": ALBUMS_PER_PAGE}
        while albums := objects(self.call("getAlbumList2", **page, offset=offset), "albumList2", "album"):
            for album in albums:
                for song in objects(self.call("getAlbum", id=album["id"]), "album", "song"):
                    yield {
                        **{name: song[name] for name in SONG_FIELDS if name in song},
                        "album_artist": album.get("artist"),
                    }
            offset += len(albums)
            if offset > MAX_ALBUMS:
                raise MusicServerError(f"{self.url} has more than {MAX_ALBUMS:,} albums; land its folder instead")

    def _proof(self) -> dict[str, str]:
        if not self._is_hashed:
            return {"p": f"enc:{self._password.encode().hex()}"}
        salt = secrets.token_hex(8)
        return {"s": salt, "t": hashlib.md5(f"{self._password}{salt}".encode(), usedforsecurity=False).hexdigest()}


def objects(answer: dict[str, Any], container: str, name: str) -> list[dict[str, Any]]:
    """The objects with an id in a list of a response; some servers write a list of one as the object."""
    holder = answer.get(container)
    found = holder.get(name) if isinstance(holder, dict) else None
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict) and "id" in one]


def save_library(settings: MusicServerSettings, file: Path) -> Path:
    """Write the songs of the first account as lines of JSON, and return the file. An unchanged file keeps its time.

    Raises:
        MusicServerError: See `MusicServer.call`; or there are no songs, or too many.
    """
    account, password = next(iter(settings.accounts.values()))
    lines = [
        json.dumps(song, sort_keys=True)
        for song in islice(MusicServer(settings, account, password).songs(), MAX_SONGS + 1)
    ]
    if not 0 < len(lines) <= MAX_SONGS:
        raise MusicServerError(
            f"{settings.url} has {'no' if not lines else 'too many'} songs for account {account!r}; let it scan its folder, or "
            f"land folders of at most {MAX_SONGS:,} songs"
        )
    content = "\n".join(sorted(lines)).encode()
    if not file.exists() or file.read_bytes() != content:
        atomic_write(file, content)
    return file
