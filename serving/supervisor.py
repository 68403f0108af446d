"""The process of `bentoml serve` that starts the workers: no other user controls it, and its workers end with it.

BentoML's process manager, circus, accepts commands on TCP ports of loopback from every user of the machine, and metrics are
memory-mapped files below BENTOML_HOME, where a full disk kills the process that writes one. Here both are in a folder in memory that only
this user can open. BentoML calls `prepare` (`bentoml.on_deployment`) before it creates the process manager, however the service is started.

Options of uvicorn that BentoML does not pass on.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS, WS_PROTOCOLS

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the folder in it is not shared
PREFIX = "segue-recommender-"
FOLDER, PIPE = "SEGUE_SUPERVISOR_FOLDER", "SEGUE_SUPERVISOR_PIPE"
"""Variables for the workers: the folder, and the file descriptor of a pipe that closes when the supervisor ends."""

logger = logging.getLogger(__name__)


@functools.cache
def prepare() -> None:
    """Prepare this process, the supervisor. The folder is in /dev/shm, or without it in the folder of temporary files."""
    folder = create_folder(SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "metrics").mkdir()
    _listen_in(folder)
    is_alive, _ = os.pipe()  # the end for writing is open until this process ends, and only in it
    os.set_inheritable(is_alive, True)
    os.environ |= {FOLDER: str(folder), PIPE: str(is_alive)}


def create_folder(place: Path) -> Path:
    """A new folder that this process locks until it ends. Those of killed processes, which take memory, are removed."""
    for path in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # of another user, or in use
            if path.lstat().st_uid == os.getuid():
                _lock(path)
                shutil.rmtree(path)
    draft = Path(tempfile.mkdtemp(dir=place))  # mode 0700
    _lock(draft)
    return draft.rename(place / f"{PREFIX}{draft.name}")


def follow() -> None:
    """Prepare this process, a worker, before it creates metrics. Without a supervisor this does nothing."""
    if PIPE not in os.environ:
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{os.environ[FOLDER]}/metrics"
    threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()


def _lock(folder: Path) -> None:
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _listen_in(folder: Path) -> None:
    """Let circus listen on sockets in the folder instead of the ports that BentoML chooses."""
    from circus.arbiter import Arbiter

    create = Arbiter.__init__
    sockets = {"endpoint": f"ipc://{folder}/control", "pubsub_endpoint": f"ipc://{folder}/events"}

    def create_without_ports(arbiter: Any, watchers: Any, **options: Any) -> None:
        create(arbiter, watchers, **options | sockets)

    Arbiter.__init__ = create_without_ports


def _end_with_supervisor() -> None:
    """Release port and locks if the supervisor was killed; otherwise it ends after its workers."""
    os.read(int(os.environ[PIPE]), 1)
    logger.error("the supervisor has ended, so this worker ends: start the service again")
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
    os.kill(os.getpid(), signal.SIGKILL)


def configure_uvicorn(trusted_proxies: Sequence[object]) -> None:
    """Make uvicorn servers that start later in this process limit headers, accept no WebSockets, and believe
    `X-Forwarded-For` of the trusted proxies only.
    """
    # By default uvicorn trusts every program of this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(map(str, trusted_proxies))
    # The default parser, httptools, buffers headers without end; h11 ends the connection after 16 KiB.
    HTTP_PROTOCOLS["auto"] = HTTP_PROTOCOLS["h11"]
    # Access control is for HTTP requests only.
    WS_PROTOCOLS["auto"] = WS_PROTOCOLS["none"]
