"""S3 server on loopback for tests, and a proxy to it that breaks the connection in the middle of a transfer."""

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
    """Run the server; yields the environment variables of its clients."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        server.stop()


@contextmanager
def interrupted_proxy(endpoint: str, side: str, after: int, on_interrupt: Callable[[], None]) -> Iterator[str]:
    """Run a proxy that calls `on_interrupt` and closes all connections after a number of bytes; yields its URL.

    Args:
        endpoint: URL of the server.
        side: Direction of the counted bytes, `to` or `from` the server.
        after: Number of bytes.
        on_interrupt: Called before the connections are closed.
    """
    address = urlsplit(endpoint)
    listening = socket.create_server(("127.0.0.1", 0))
    transferred = dict.fromkeys(("to", "from"), 0)
    ends: list[socket.socket] = [listening]

    def pump(source: socket.socket, target: socket.socket, direction: str) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                transferred[direction] += len(piece)
                if direction == side and transferred[direction] > after:
                    on_interrupt()
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
