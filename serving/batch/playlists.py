"""`python -m serving.batch.playlists`: write the lists of each listener with an account into the music server, as playlists.

A playlist of the same name is replaced, so the command can be repeated. Tracks that are not on the server are left out. Lists of
the day are kept, but nothing is recorded as shown, because nobody may open a playlist. The recommender may run or not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from contextlib import closing

from config import settings
from config.command_line import report_errors
from config.settings import MusicServerSettings, SettingError, Settings
from config.tool_environment import tool_environment
from event_store.store import DAY_US
from serving.__main__ import KERNEL_THREADS
from serving.batch import BatchError
from serving.errors import RequestRejected
from storage.music_server import MusicServer, MusicServerError, objects

LISTS = {"Segue: daily list": ("daily", None), "Segue: new for you": ("private_fm", 1.0)}
"""Name of a playlist → scene, and share of new tracks. Tracks of the first are not in the second."""
LENGTH = 30


def write_playlists(here: Settings, configured: MusicServerSettings, now_us: int) -> None:
    """Write the lists of the time `now_us` (µs since 1970), and print a line for each.

    Raises:
        MusicServerError: The server does not answer, or rejects an account.
        BatchError: No release is in service, or the online store failed.
        RequestRejected: A user id in the settings is invalid.
    """
    # Imported late, because numeric libraries and BentoML read the environment when they are imported.
    from prometheus_client import CollectorRegistry

    from serving.batch.export import NAMESPACE, check_state, open_runtime
    from serving.observability.metrics import Metrics
    from serving.pipeline.request import read_request

    with closing(open_runtime(here, Metrics(CollectorRegistry()))) as runtime:
        vocabulary = runtime.releases()[0].vocabulary
        for user_id, login in configured.accounts.items():
            server = MusicServer(configured, *login)
            shown: list[str] = []
            songs = {vocabulary.canonical_id(str(song["id"])): str(song["id"]) for song in server.songs()}
            for name, (scene, discovery) in LISTS.items():
                # The same tracks are explored if the command is repeated.
                own_id = uuid.uuid5(NAMESPACE, f"{scene}\n{now_us // DAY_US}\n{user_id}").hex
                request = read_request(
                    user_id, scene, LENGTH, now_us, discovery, own_id, here.territory, here.explicit, exclude=shown
                )
                response = runtime.compute(request, is_kept=True)
                check_state(response)
                tracks = [item.target[1] for item in response.items]
                shown += tracks
                listed = [songs[track] for track in tracks if track in songs]
                counts = f"{len(listed)} songs, not on the server: {len(tracks) - len(listed)}"
                print(f"{user_id}: {name} {write_playlist(server, name, listed)}, {counts}", flush=True)


def write_playlist(server: MusicServer, name: str, songs: list[str]) -> str:
    """Create or replace a playlist of the account with songs in order; return what was done: nothing without songs.

    Raises:
        MusicServerError: The server rejects it.
    """
    own = [
        one["id"]
        for one in objects(server.call("getPlaylists"), "playlists", "playlist")
        if one.get("name") == name and str(one.get("owner", server.account)).casefold() == server.account.casefold()
    ]
    entries = objects(server.call("getPlaylist", id=own[0]), "playlist", "entry") if own else []
    if [str(entry["id"]) for entry in entries] == songs or not songs:
        return "unchanged"
    server.call("createPlaylist", songId=songs, **({"playlistId": own[0]} if own else {"name": name}))
    return "replaced" if own else "created"


@report_errors(MusicServerError, BatchError, RequestRejected, SettingError, code=1)
def main(arguments: list[str] | None = None) -> int:
    """Write the playlists; 1 if that fails."""
    argparse.ArgumentParser(prog="python -m serving.batch.playlists", description=__doc__).parse_args(arguments)
    here, configured = settings.load_settings(), settings.load_music_server()
    for name, value in {**KERNEL_THREADS, **tool_environment(here)}.items():
        os.environ.setdefault(name, value)
    write_playlists(here, configured, time.time_ns() // 1000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
