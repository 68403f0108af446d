"""`GET /tracks/{track_id}`, `/artists`, `/albums` and `/playlists` over ASGI, with a hand-made release."""

from urllib.parse import quote

import pytest

from serving.inspection import catalog_entries
from tests.support.serving.asgi_client import serving_client
from tests.support.serving.list_source import ListSource
from tests.support.serving.small_release import ListChannel, release, tracks

ID = "a/b ü"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    served = release(
        tracks(
            5,
            track_id=[ID, "t1", "t2", "withdrawn", "abroad"],
            is_in_catalog=[True, True, True, False, True],
            artist_ids=[["x"], ["y", "x"], ["y"], ["x"], ["z"]],
            artist_names=[["Xu"], ["Yi", "Xu"], ["Yi"], ["Xu"], ["Zo"]],
            album_id=["l", None, "l", "l", None],
            album_title=["First", None, "First", "First", None],
            territories=[[], [], [], [], ["FR"]],
        ),
        [ListChannel("popularity", range(2, 7))],
        collection_channels={"playlists": ListSource("playlist", [[2, 3, 5]], [])},
    )
    with serving_client(tmp_path_factory.mktemp("home"), lambda _: served) as client:
        yield client


def test_a_track_is_described_by_its_id(client):
    track = client.get(f"/tracks/{quote(ID, safe='')}").json()
    assert (track["track_id"], track["artist_ids"], track["album"]) == (ID, ["x"], "First")


@pytest.mark.parametrize(
    ("path", "title", "listed"),
    [
        ("/artists/x", "Xu", [ID, "t1"]),
        ("/artists/y", "Yi", ["t1", "t2"]),
        ("/albums/l", "First", [ID, "t2"]),
        ("/playlists/p2", "p2", [ID, "t2"]),
    ],
    ids=["main_artist", "second_artist", "album", "playlist"],
)
def test_entries_list_the_tracks_that_may_be_played(client, path, title, listed):
    entry = client.get(path).json()
    assert (entry["title"], entry["track_count"]) == (title, len(listed))
    assert [track["track_id"] for track in entry["tracks"]] == listed


def test_long_entries_are_cut_and_counted(client, monkeypatch):
    monkeypatch.setattr(catalog_entries, "MAX_TRACKS", 1)
    entry = client.get("/artists/x").json()
    assert (entry["track_count"], len(entry["tracks"])) == (2, 1)


@pytest.mark.parametrize(
    "path", ["/tracks/withdrawn", "/tracks/abroad", "/tracks/no", "/artists/z", "/albums/no", "/playlists/no"]
)
def test_unknown_and_unplayable_entries_are_not_found(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.head(path).status_code == 404
