"""A real Subsonic server, supysonic, with one account over a folder of music, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support import background
from tests.support.ports import free_port
from tests.support.waiting import wait_until

ACCOUNT, PASSWORD = "alice", "pass=word:1"
PROGRAM = """
import json, sys
from supysonic.config import DefaultConfig
from supysonic.web import create_application

folder, music, account, password, scrobbler, port = json.loads(sys.argv[1])
config = DefaultConfig()
config.BASE = {**config.BASE, "database_uri": f"sqlite:///{folder}/supysonic.db"}
config.WEBAPP = {**config.WEBAPP, "cache_dir": folder}
config.DAEMON = {**config.DAEMON, "socket": f"{folder}/none"}
config.LISTENBRAINZ = {"api_url": scrobbler}
app = create_application(config)

from supysonic.db import close_connection, open_connection
from supysonic.managers.folder import FolderManager
from supysonic.managers.user import UserManager
from supysonic.scanner import Scanner

open_connection()
UserManager.add(account, password)
FolderManager.add("music", music)
scanner = Scanner()
scanner.queue_folder("music")
scanner.run()
close_connection()
app.run(port=port, threaded=False)
"""


@contextmanager
def run_supysonic(folder: Path, music: Path, scrobbler: str) -> Iterator[str]:
    """Address of the server, which scrobbles to the ListenBrainz server `scrobbler`."""
    port = free_port()
    arguments = json.dumps([str(folder), str(music), ACCOUNT, PASSWORD, scrobbler, port])
    server = background.start([sys.executable, "-c", PROGRAM, arguments], os.environ, folder, folder / "log")
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: not server.is_running() or _answers(url), "supysonic")
        assert server.is_running(), (folder / "log").read_text()
        yield url
    finally:
        server.stop()


def link_scrobbler(url: str, token: str) -> None:
    """Link the account with its user of the ListenBrainz server, as on the page of the account."""
    with httpx.Client(base_url=url, follow_redirects=True) as page:
        page.post("/user/login", data={"user": ACCOUNT, "password": PASSWORD})
        assert "Successfully linked ListenBrainz account" in page.get(f"/user/me/listenbrainz/link?token={token}").text


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/user/login").status_code == 200
    except httpx.HTTPError:
        return False
