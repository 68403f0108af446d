"""A TCP proxy on loopback that delays, stalls, refuses and drops connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class FaultyProxy:
    """Forwards connections to a port of this machine; faults apply to open and to new connections.

    Attributes:
        delay_s: Delay of each chunk of a response.
        is_stalled: Whether connections are accepted, and nothing is forwarded.
        is_refusing: Whether new connections are closed at once.
        delayed_chunks: Number of chunks that were delayed or stalled.
    """

    def __init__(self, target_port: int) -> None:
        self.delay_s, self.is_stalled, self.is_refusing, self.delayed_chunks = 0.0, False, False, 0
        self._target_port = target_port
        self._changed = threading.Condition()
        self._is_closed = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, *, delay_s: float = 0.0, is_stalled: bool = False, is_refusing: bool = False) -> None:
        """Replace the faults; without arguments there are none."""
        with self._changed:
            self.delay_s, self.is_stalled, self.is_refusing = delay_s, is_stalled, is_refusing
            self._changed.notify_all()

    def drop_connections(self) -> None:
        """Close all open connections."""
        with self._changed:
            sockets = list(self._sockets)
        for one in sockets:
            _close(one)

    def close(self) -> None:
        """Close the proxy and its connections."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        _close(self._listener)
        self.drop_connections()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            with self._changed:
                self._sockets |= {client, server}
            threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_response: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                self._wait(is_response)
                target.sendall(chunk)
        for one in (source, target):
            _close(one)
        with self._changed:
            self._sockets -= {source, target}

    def _wait(self, is_response: bool) -> None:
        with self._changed:
            if self.is_stalled or (is_response and self.delay_s):
                self.delayed_chunks += 1
            if is_response and self.delay_s:
                # Ends early if the faults change.
                self._changed.wait(self.delay_s)
            self._changed.wait_for(lambda: not self.is_stalled or self._is_closed)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def proxy_to(target_port: int) -> Iterator[FaultyProxy]:
    """A proxy to a port of this machine."""
    proxy = FaultyProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
