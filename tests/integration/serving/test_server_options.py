"""Options of uvicorn, on a server configured as BentoML's workers configure theirs."""

import contextlib
import socket
import threading

import httpx
import pytest
import uvicorn
import uvicorn.config

from serving.supervisor import configure_uvicorn
from tests.support.serving.asgi_call import respond

START = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
SOCKET_BUFFERS = 8 << 20
"""More than the sockets and one read of the server hold."""


async def app(scope, receive, send):
    """Responds with the client's address."""
    await respond(send, scope["client"][0].encode())


@contextlib.contextmanager
def serving(*trusted_proxies):
    """Port of a server."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
        for protocols in (uvicorn.config.HTTP_PROTOCOLS, uvicorn.config.WS_PROTOCOLS):
            patch.setitem(protocols, "auto", protocols["auto"])
        configure_uvicorn(trusted_proxies)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port


@pytest.mark.parametrize(
    ("start", "part"),
    [(START + b"a: ", b"b" * 65536), (START, b"a: b\r\n" * 10000), (b"GET /", b"a" * 65536)],
    ids=["header", "headers", "path"],
)
def test_headers_without_end_are_not_buffered(port, start, part):
    """The server closes the connection, although `part` is sent again and again."""
    sent, received = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(start)
        while sent < SOCKET_BUFFERS:
            connection.sendall(part)
            sent += len(part)
        while data := connection.recv(65536):
            received += data
    assert sent < SOCKET_BUFFERS
    assert received.startswith(b"HTTP/1.1 400 ") or received == b""  # the reset may overtake the response


@pytest.mark.parametrize(("trusted", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "10.1.2.3")])
def test_only_trusted_proxies_set_the_client_address(trusted, client):
    with serving(*trusted) as port:
        response = httpx.post(f"http://127.0.0.1:{port}/x", headers={"X-Forwarded-For": "1.1.1.1, 10.1.2.3"})
    assert response.text == client


def test_websockets_are_not_accepted(port):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    assert httpx.get(f"http://127.0.0.1:{port}/", headers=upgrade).status_code == 200
