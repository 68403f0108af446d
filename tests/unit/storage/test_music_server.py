"""Calls of the Subsonic API: proofs of the password, errors, and the pages of a library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from config.settings import MusicServerSettings
from storage import music_server
from storage.music_server import MusicServer, MusicServerError, save_library

PASSWORD = "pässword:1"


class Fake:
    """A server with one account, and the forms that it received.

    Args:
        answer: Content of the response to a method with a form, or a whole HTTP response.
        has_hashes: Whether it can verify hashes.
    """

    def __init__(
        self, answer: Callable[[str, dict[str, str]], Any] = lambda method, form: {}, has_hashes: bool = True
    ) -> None:
        self.answer, self.has_hashes, self.forms = answer, has_hashes, list[dict[str, str]]()

    def handle(self, request: httpx.Request) -> httpx.Response:
        assert not request.url.query
        form = {name: values[-1] for name, values in parse_qs(request.content.decode()).items()}
        self.forms.append(form)
        if self.has_hashes:
            is_known = hashlib.md5((PASSWORD + form.get("s", "")).encode()).hexdigest() == form.get("t")
        else:
            is_known = form.get("p") == f"enc:{PASSWORD.encode().hex()}"
        content = self.answer(request.url.path.removeprefix("/rest/").removesuffix(".view"), form)
        if isinstance(content, httpx.Response):
            return content
        error = {} if is_known else {"error": {"code": 40 if self.has_hashes else 41, "message": "no"}}
        return httpx.Response(
            200, json={"subsonic-response": {"status": "failed" if error else "ok", **error, **content}}
        )


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], None]:
    def use(fake: Fake) -> None:
        monkeypatch.setattr(
            music_server.httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(fake.handle))
        )

    return use


def settings(monkeypatch: pytest.MonkeyPatch, allow_http: str = "") -> MusicServerSettings:
    monkeypatch.setenv("SEGUE_SUBSONIC_URL", "http://localhost:4533")
    monkeypatch.setenv("SEGUE_SUBSONIC_ALLOW_HTTP", allow_http)
    return MusicServerSettings(accounts={"me": ("alice", PASSWORD)})


def test_the_password_is_sent_only_if_the_server_has_no_hashes_and_nobody_reads_it(serve, monkeypatch) -> None:
    here, network = settings(monkeypatch), settings(monkeypatch, "yes")
    serve(fake := Fake())
    MusicServer(network, "alice", PASSWORD)
    assert all(PASSWORD not in str(form) and "p" not in form for form in fake.forms)
    with pytest.raises(MusicServerError, match="rejects ping for account 'alice': no") as rejected:
        MusicServer(here, "alice", "wrong")
    assert "wrong" not in str(rejected.value) and all("p" not in form for form in fake.forms)
    serve(fake := Fake(has_hashes=False))
    MusicServer(here, "alice", PASSWORD).call("getPlaylists")
    assert [{"p", "t"}.intersection(form) for form in fake.forms] == [{"t"}, {"p"}]
    with pytest.raises(MusicServerError, match="rejects ping"):
        MusicServer(network, "alice", PASSWORD)
    assert "p" not in fake.forms[-1]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(502), "HTTPStatusError.*502"),
        (httpx.Response(302, headers={"Location": "http://other/"}), "HTTPStatusError.*302"),
        (httpx.Response(200, text="<html>"), "JSONDecodeError"),
        (httpx.Response(200, json=[]), "TypeError"),
        (httpx.Response(200, json={"subsonic-response": {"status": "failed"}}), "KeyError"),
        (httpx.Response(200, content=b"[" * 100_000), "RecursionError"),
        (httpx.Response(200, content=b" " * (1 << 20)), "ValueError: more than"),
    ],
)
def test_other_responses_are_errors_that_name_method_and_address(serve, monkeypatch, response, message) -> None:
    monkeypatch.setattr(music_server, "MAX_BYTES", (1 << 20) - 1)
    serve(Fake(lambda method, form: response))
    with pytest.raises(MusicServerError, match=f"ping of http://localhost:4533 failed \\({message}"):
        MusicServer(settings(monkeypatch), "alice", PASSWORD)


def library(albums: list[dict[str, Any]]) -> Callable[[str, dict[str, str]], Any]:
    def answer(method: str, form: dict[str, str]) -> dict[str, Any]:
        if method == "getAlbumList2":
            page = albums[int(form["offset"]) :][:2]
            return {"albumList2": {"album": page[0] if len(page) == 1 else page} if page else {}}
        found = [album for album in albums if str(album["id"]) == form.get("id")]
        return {"album": found[0]} if found else {}

    return answer


def test_library_is_read_page_by_page_and_an_unchanged_one_keeps_its_file(serve, monkeypatch, tmp_path: Path) -> None:
    songs = [{"id": f"s{number}", "title": f"t{number}", "playCount": 1} for number in range(4)]
    albums = [{"id": number, "artist": "x", "song": [song]} for number, song in enumerate(songs)]
    albums[3]["song"] = [songs[3], {"title": "without an id"}, "no song"]
    albums.append({"id": 4, "song": {"id": "s4", "title": "the only one"}})
    serve(Fake(library(albums)))
    here, file = settings(monkeypatch), tmp_path / "folder" / "library.subsonic"
    save_library(here, file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["s0", "s1", "s2", "s3", "s4"]
    assert rows[0] == {"id": "s0", "title": "t0", "album_artist": "x"}
    written = file.stat().st_mtime_ns
    songs[0]["playCount"] = 2
    save_library(here, file)
    assert file.stat().st_mtime_ns == written
    songs[0]["title"] = "new"
    save_library(here, file)
    assert file.stat().st_mtime_ns > written


def test_library_has_limits(serve, monkeypatch, tmp_path: Path) -> None:
    here = settings(monkeypatch)
    serve(Fake(library([])))
    with pytest.raises(MusicServerError, match="has no songs for account 'alice'"):
        save_library(here, tmp_path / "library.subsonic")
    # A server that ignores the offset never ends.
    serve(Fake(lambda method, form: {"albumList2": {"album": [{"id": 1}]}, "album": {"song": [{"id": "s"}]}}))
    for name, message in (("MAX_SONGS", "has too many songs"), ("MAX_ALBUMS", "has more than 5 albums")):
        with monkeypatch.context() as patch, pytest.raises(MusicServerError, match=message):
            patch.setattr(music_server, name, 5)
            save_library(here, tmp_path / "library.subsonic")
    assert not (tmp_path / "library.subsonic").exists()
