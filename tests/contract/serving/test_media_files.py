"""`GET /media/preview/{track_id}` and `GET /media/cover/{track_id}` over ASGI, with a hand-made release."""

from __future__ import annotations

import io
import os
from pathlib import Path
from urllib.parse import quote

import av
import pytest
from PIL import Image

from media.track_description import cover_path, preview_path, write_descriptions
from serving import runtime
from serving.http import admission
from storage.media_paths import register_root
from tests.support.media_descriptions import described
from tests.support.serving.asgi_client import serving_client
from tests.support.serving.small_release import ListChannel, release, tracks

SOUND = b"fLaC" + bytes(range(256)) * 10
PICTURE = b"\x89PNG picture"
SIMULATED, FILES, SLASH, LEADS_OUT, WITHDRAWN, NOTHING, OTHER_TYPE, PIPE, MISSING = (f"t{n}" for n in range(9))


def served(home: Path) -> runtime.ServedRelease:
    """Tracks of a simulation, with files, and with paths that must not be read."""
    source = home / "source"
    (source / "album").mkdir(parents=True)
    (source / "album" / "1.flac").write_bytes(SOUND)
    (source / "album" / "cover.png").write_bytes(PICTURE)
    (source / "notes.txt").write_text("secret")
    (source / "link.flac").symlink_to(home / "secret.flac")
    (home / "secret.flac").write_bytes(b"secret")
    os.mkfifo(source / "pipe.flac")
    write_descriptions({SIMULATED: described(), WITHDRAWN: described()}, source)
    root = register_root(home / "media", source)
    audio = [preview_path(SIMULATED), "album/1.flac", "album/1.flac", "link.flac", preview_path(WITHDRAWN), None]
    audio += ["notes.txt", "pipe.flac", "album/2.flac"]
    cover = [cover_path(SIMULATED), "album/cover.png", "../album/cover.png", "/etc/passwd", *[None] * 5]
    return release(
        tracks(
            9,
            track_id=[SIMULATED, FILES, "a/b ü", LEADS_OUT, WITHDRAWN, NOTHING, OTHER_TYPE, PIPE, MISSING],
            is_in_catalog=[True] * 4 + [False] + [True] * 4,
            audio_path=[path and root + path for path in audio],
            cover_path=[path and root + path for path in cover],
        ),
        [ListChannel("popularity", range(2, 11))],
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with serving_client(home, lambda _: served(home)) as client:
        client.home = home
        yield client


def test_simulated_tracks_have_a_preview_and_a_cover(client):
    preview, cover = client.get(f"/media/preview/{SIMULATED}"), client.get(f"/media/cover/{SIMULATED}")
    assert (preview.status_code, preview.headers["content-type"]) == (200, "audio/ogg")
    assert (cover.status_code, cover.headers["content-type"]) == (200, "image/jpeg")
    with av.open(io.BytesIO(preview.content)) as file:
        assert file.duration / 1e6 == pytest.approx(10, abs=0.05)
    assert Image.open(io.BytesIO(cover.content)).size[0] > 100


def test_files_of_the_media_root_are_served(client):
    for track_id in (FILES, "a/b ü"):
        audio = client.get(f"/media/preview/{quote(track_id, safe='')}")
        assert (audio.status_code, audio.headers["content-type"], audio.content) == (200, "audio/flac", SOUND)
    cover = client.get(f"/media/cover/{FILES}")
    assert (cover.headers["content-type"], cover.content) == ("image/png", PICTURE)
    assert cover.headers["x-content-type-options"] == "nosniff" and "private" in cover.headers["cache-control"]


def test_responses_name_the_urls(client):
    answer = client.post("/recommend", json={"user_id": "u", "scene": "private_fm", "limit": 9}).json()
    found = {item["track_id"]: (item.get("audio_url"), item.get("cover_url")) for item in answer["items"]}
    assert found[SIMULATED] == (f"media/preview/{SIMULATED}", f"media/cover/{SIMULATED}")
    assert found["a/b ü"][0] == "media/preview/a%2Fb%20%C3%BC"
    assert found[NOTHING] == (None, None)


@pytest.mark.parametrize(
    "path",
    [
        *(f"preview/{track_id}" for track_id in (LEADS_OUT, WITHDRAWN, NOTHING, OTHER_TYPE, PIPE, MISSING, "unknown")),
        *("cover/a%2Fb%20%C3%BC", f"cover/{LEADS_OUT}", f"cover/{NOTHING}"),
        *("preview/..%2F..%2Fsecret.flac", "preview/%2Fetc%2Fpasswd", "preview/%00", "cover/" + "x" * 5_000),
        *("", "preview/", "video/t0", "../media/roots.json", "roots.json"),
    ],
)
def test_other_tracks_and_paths_are_not_found(client, path):
    answer = client.get(f"/media/{path}")
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 404
    assert "secret" not in answer.text.replace("secret.flac", "") and str(client.home) not in answer.text


def test_a_known_file_is_not_sent_again(client):
    first = client.get(f"/media/cover/{SIMULATED}")
    again = client.get(f"/media/cover/{SIMULATED}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/media/cover/{SIMULATED}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_player_can_seek(client):
    def read(value):
        return client.get(f"/media/preview/{FILES}", headers={"Range": value})

    part = read("bytes=10-19")
    assert (part.status_code, part.content) == (206, SOUND[10:20])
    assert read("bytes=-5").content == SOUND[-5:]
    assert read(f"bytes={len(SOUND)}-").status_code == 416
    for ignored in ("bytes=0-1,5-6", "bytes=x", "lines=1-2", "bytes=5-2" * 3):
        assert (read(ignored).status_code, read(ignored).content) == (200, SOUND)


def test_requests_beyond_the_queue_are_shed(client, monkeypatch):
    monkeypatch.setattr(admission, "MAX_WAITING_LOOKUPS", 0)
    answer = client.get(f"/media/preview/{FILES}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.post("/recommend", json={"user_id": "u"}).status_code == 200
