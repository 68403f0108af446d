"""A server that speaks S3 on loopback, on a free port, gone with the test; and a line to it that breaks in the middle."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """What the environment of its clients must have."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        server.stop()


@contextmanager
def breaking(endpoint: str, side: str, after: int, broken: Callable[[], None]) -> Iterator[str]:
    """The address of a line to the server that calls `broken`, and ends, when so many bytes went over it: `side` is `to` or
    `from` the server.
    """
    address = urlsplit(endpoint)
    listening = socket.create_server(("127.0.0.1", 0))
    gone = dict.fromkeys(("to", "from"), 0)
    ends: list[socket.socket] = [listening]

    def pump(source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                gone[way] += len(piece)
                if way == side and gone[way] > after:
                    broken()
                    for end in ends:
                        end.close()
                    return
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection((address.hostname, address.port))
                ends.extend((client, server))
                threading.Thread(target=pump, args=(client, server, "to"), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, "from"), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        for end in ends:
            end.close()
