"""A real music server, supysonic: its library is landed, what is played there arrives, and it gets the lists as playlists."""

import time
from pathlib import Path

import polars as pl
import pytest
from libopensonic import Connection

from ingestion import land
from recommender.catalog.vocabulary import Vocabulary
from serving.batch import playlists
from tests.support.log_sources import landed
from tests.support.music_folder import write_track
from tests.support.serving.asgi_client import serving_client
from tests.support.serving.http_server import serve
from tests.support.serving.small_release import ListChannel, release, tracks
from tests.support.subsonic_server import ACCOUNT, PASSWORD, link_scrobbler, run_supysonic

SONGS = 8
USER = "u"


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs as of `small_release.tracks`, in several formats."""
    folder = tmp_path_factory.mktemp("music")
    for number in range(SONGS):
        path = folder / f"{number // 2}" / f"{number}.{('mp3', 'flac', 'ogg', 'opus')[number % 4]}"
        names = {"title": f"Song {number}", "artist": f"Artist {number // 2}", "album": f"Album {number // 2}"}
        write_track(path, number, 1.0 + number, date="1999", genre="Rock; Pop", **names)
    return folder


def titles_of(player: Connection, playlist: str) -> list[str]:
    return [song.title for song in player.getPlaylist(playlist).songs]


def test_library_plays_and_playlists(tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, aliases = tmp_path / "home", {}
    table = tracks(SONGS + 1)  # the last one is not on the server

    def load(_: Path):
        vocabulary = Vocabulary.build(table, pl.DataFrame({"track_id": table["track_id"]}), aliases=aliases)
        return release(table, [ListChannel("popularity", range(2, SONGS + 3))], vocabulary=vocabulary)

    (accounts := tmp_path / "accounts").write_text(f"{USER}={ACCOUNT}:{PASSWORD}\n")
    (tmp_path / "server").mkdir()
    with (
        serving_client(home, load) as client,
        serve(client.app) as segue,
        run_supysonic(tmp_path / "server", music, segue) as url,
    ):
        monkeypatch.setenv("SEGUE_SUBSONIC_URL", url)
        monkeypatch.setenv("SEGUE_SUBSONIC_ACCOUNTS_FILE", str(accounts))
        player = Connection(url.rpartition(":")[0], ACCOUNT, PASSWORD, int(url.rpartition(":")[2]), legacyAuth=True)
        on_server = {song.title: song for song in player.search3("Song", songCount=SONGS)["songs"]}

        assert land.main(["--server"]) == 0 and land.main(["--server"]) == 0
        rows = {row["title"]: row for row in landed(home, "tracks").to_dicts()}
        assert landed(home, "tracks").height == len(rows) == SONGS
        assert {title: row["track_id"] for title, row in rows.items()} == {
            title: song.id for title, song in on_server.items()
        }
        song = rows["Song 6"]
        assert (song["duration_ms"], song["released_on"].year, song["styles"]) == (7_000, 1999, ["rock", "pop"])
        assert sorted(landed(home, "albums")["title"]) == [f"Album {number}" for number in range(4)]

        aliases |= {song.id: f"t{title.removeprefix('Song ')}" for title, song in on_server.items()}
        monkeypatch.setattr(playlists, "LENGTH", 5)
        player.createPlaylist(name="Segue: daily list", songIds=[on_server["Song 1"].id] * 2)
        assert playlists.main([]) == 0
        before = {one.name: (one.id, titles_of(player, one.id)) for one in player.getPlaylists()}
        shown = client.post("/recommend", json={"user_id": USER, "scene": "daily", "limit": 5}).json()["items"]
        daily, new = before["Segue: daily list"][1], before["Segue: new for you"][1]
        assert daily == [item["title"] for item in shown] and not {"Song 0", "Song 1", *daily}.intersection(new)
        assert playlists.main([]) == 0
        assert {one.name: (one.id, titles_of(player, one.id)) for one in player.getPlaylists()} == before

        link_scrobbler(url, USER)
        player.scrobble(on_server["Song 5"].id, listenTime=time.time() - 300)
        stored = client.post("/export", json={"user_id": USER}).json()["stores"]
        (play,) = [one["body"] for one in stored["events"] if one["body"]["action"] == "play"]
        assert (play["target_id"], play["played_ms"], play["device"]) == ("t5", 240_000, "listenbrainz")
        assert len(stored["exposures"]) == 1, "playlists are not shown"
