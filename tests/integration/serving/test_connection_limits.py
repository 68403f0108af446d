"""Limits of connections, on a real uvicorn server configured as BentoML's workers configure theirs."""

import asyncio
import contextlib
import os
import re
import socket
import threading
import time

import httpx
import pytest
import uvicorn
import uvicorn.config
import uvloop

from config.http_settings import HttpSettings
from serving.http.connection_limits import configure_uvicorn

MAX_HEADER_BYTES = 2048
START = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
LARGE = 32 << 20
"""More than the sockets buffer."""
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


async def app(scope, receive, send):
    """Responds to /early without reading the body, to /whole and /parts with a large response in one or many parts; otherwise
    with the client's address and the body.
    """
    if scope["type"] != "http":
        return
    if scope["path"] in ("/whole", "/parts"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        parts = 1 if scope["path"] == "/whole" else 1024
        for number in range(parts):
            body = bytes(LARGE // parts)
            await send({"type": "http.response.body", "body": body, "more_body": number + 1 < parts})
        return
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    text = f"{scope['client'][0]} {len(scope['headers'])} ".encode() + body
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@contextlib.contextmanager
def serving(new_loop=asyncio.new_event_loop, **limits):
    """Port of a server with these limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", None)
        configure_uvicorn(HttpSettings(**{"max_header_bytes": MAX_HEADER_BYTES, **limits}))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=60))
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def run():
                with asyncio.Runner(loop_factory=new_loop) as runner:
                    runner.run(server.serve([listening]))

            thread = threading.Thread(target=run)
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


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def request_large(port, path="/whole", more=b""):
    """A connection whose client has read only the first bytes of a large response."""
    connection = connect(port)
    connection.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n")
    assert connection.recv(9) == b"HTTP/1.1 "
    return connection


def read_all(connection):
    """Everything until the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def count_received(connection, most=2 * LARGE):
    """Number of received bytes: at least `most`, or fewer if the server closes the connection before."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while count < most and (part := connection.recv(1 << 20)):
            count += len(part)
    return count


def send_until_closed(connection, part):
    """Send the same data again and again, until the server has closed the connection; return what it responded."""
    sent = 0
    try:
        while sent < 64 << 20:
            connection.sendall(part)
            sent += len(part)
    except OSError:
        pass
    assert sent < 8 << 20  # what socket buffers hold
    with contextlib.suppress(OSError):
        return read_all(connection)
    return b""


def test_requests_within_the_limits_are_answered(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert client.post("/x", content=b"a" * 100_000, headers={"x": "y" * 1000}).text.endswith("a" * 100_000)
            assert client.post("/x", content=iter([b"12", b"345"])).text.endswith(" 12345")


def test_pipelined_requests_are_answered_in_order(port):
    with connect(port) as connection:
        one = START + b"Content-Length: 1\r\n\r\n"
        last = START + b"Connection: close\r\nContent-Length: 1\r\n\r\n3"
        connection.sendall(one + b"1" + one + b"2" + last)
        assert re.findall(rb"127\.0\.0\.1 \d (\d)", read_all(connection)) == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "headers",
    [b"a: " + b"b" * MAX_HEADER_BYTES + b"\r\n", b"a: b\r\n" * MAX_HEADER_BYTES],
    ids=["one large header", "many headers"],
)
def test_large_headers_are_rejected(port, headers):
    with connect(port) as connection:
        connection.sendall(START + headers + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (START + b"a: ", b"b" * 65536),
        (START, b"a: b\r\n" * 10000),
        (b"GET /", b"a" * 65536),
        (CHUNKED + b"0\r\na: ", b"b" * 65536),
        (CHUNKED + b"0\r\n", b"a: b\r\n" * 10000),
    ],
    ids=[
        "header without end",
        "headers without end",
        "path without end",
        "trailer without end",
        "trailers without end",
    ],
)
def test_headers_without_end_are_not_buffered(port, start, part):
    with connect(port) as connection:
        connection.sendall(start)
        response = send_until_closed(connection, part)
        assert response.startswith(b"HTTP/1.1 431 ") or response == b""  # the reset may overtake the response


def test_trailers_do_not_become_headers(port):
    with connect(port) as connection:
        connection.sendall(CHUNKED + b"1\r\nx\r\n0\r\nauthorization: forged\r\n\r\n")
        connection.sendall(START + b"Connection: close\r\n\r\n")
        assert b"127.0.0.1 2 x" in read_all(connection)


@pytest.mark.parametrize("header", [b"content-type: \xff", b"user-agent: \xff\\x", b"\xff: a"])
def test_headers_that_are_not_text_are_rejected(port, header):
    with connect(port) as connection:
        connection.sendall(START + header + b"\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_slow_headers_are_rejected_and_idle_connections_closed():
    with serving(header_timeout_s=1) as port, connect(port) as slow, connect(port) as idle, connect(port) as later:
        slow.sendall(START)
        later.sendall(START + b"Content-Length: 0\r\n\r\n" + START)  # the second request of a connection
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
        assert read_all(idle) == b""
        assert [line for line in read_all(later).split(b"\r\n") if b"HTTP/1.1 " in line] == [
            b"HTTP/1.1 200 OK",
            b"127.0.0.1 2 HTTP/1.1 408 Request Timeout",
        ]


def test_rejected_body_is_not_received_for_ever(monkeypatch):
    monkeypatch.setattr("serving.http.connection_limits.BODY_GRACE_S", 0)
    with serving(body_timeout_s=1) as port, connect(port) as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n12")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_address_with_too_many_waiting_connections_loses_its_oldest():
    with serving(client_connections=3) as port, contextlib.ExitStack() as stack:
        busy, first = stack.enter_context(connect(port)), stack.enter_context(connect(port))
        busy.sendall(START + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert busy.recv(100).startswith(b"HTTP/1.1 100 ")  # a request in progress does not count
        first.sendall(START + b"\r\n")
        assert first.recv(100).startswith(b"HTTP/1.1 200 ")
        others = [stack.enter_context(connect(port)) for _ in range(3)]
        assert b"HTTP/1.1" not in read_all(first)
        for connection in [*others, busy]:
            rest = b"1\r\nx\r\n0\r\n\r\n" if connection is busy else START + b"\r\n"
            connection.sendall(rest)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_requests_in_progress_of_one_address_do_not_take_all_connections():
    with serving(client_connections=2, client_requests=3) as port, contextlib.ExitStack() as stack:
        most = 2 * 2 + 3
        unfinished = START + b"Content-Length: 1\r\n\r\n"
        opened = []
        for _ in range(most):
            opened.append(stack.enter_context(connect(port)))
            opened[-1].sendall(unfinished)
            time.sleep(0.05)  # the server has read it: a connection without a request counts as waiting
        with connect(port) as further:
            assert read_all(further).startswith(b"HTTP/1.1 503 ")
        opened[0].sendall(b"x")
        assert opened[0].recv(100).startswith(b"HTTP/1.1 200 ")
        opened[0].close()
        time.sleep(0.2)
        with connect(port) as further:
            further.sendall(START + b"\r\n")
            assert further.recv(100).startswith(b"HTTP/1.1 200 ")


LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
ONCE = b"Connection: close\r\n"


@LOOPS
@pytest.mark.parametrize(("path", "more"), [("/whole", b""), ("/whole", ONCE), ("/parts", b""), ("/parts", ONCE)])
def test_connection_is_closed_if_the_response_is_not_read(new_loop, path, more):
    with serving(new_loop, send_timeout_s=1) as port, request_large(port, path, more) as connection:
        time.sleep(2.5)
        assert count_received(connection) < LARGE


@LOOPS
@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_slow_readers_receive_the_whole_response(new_loop, path):
    with serving(new_loop, send_timeout_s=2) as port, request_large(port, path, ONCE) as connection:
        count = 0
        for _ in range(16):
            time.sleep(0.25)
            count += count_received(connection, 1 << 20)
        assert count + count_received(connection) > LARGE


@LOOPS
@pytest.mark.parametrize(
    ("more", "then"),
    [(b"", b""), (ONCE, b""), (b"", b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n")],
    ids=["kept alive", "closing", "with another request"],
)
@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_connections_with_unread_responses_are_counted(new_loop, path, more, then):
    with serving(new_loop, client_connections=2) as port, contextlib.ExitStack() as stack:
        first = stack.enter_context(request_large(port, path, more))
        first.sendall(then)
        others = [stack.enter_context(request_large(port, path, more)) for _ in range(2)]
        assert count_received(first) < LARGE
        assert [count_received(connection, LARGE) >= LARGE for connection in others] == [True, True]


@pytest.mark.parametrize(("trusted", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "10.1.2.3")])
def test_only_trusted_proxies_set_the_client_address(trusted, client):
    with serving(trusted_proxies=trusted, client_connections=1) as port:
        first = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        with first, httpx.Client(base_url=f"http://127.0.0.1:{port}") as second:
            for proxy in (first, second):
                response = proxy.get("/x", headers={"X-Forwarded-For": "1.1.1.1, 10.1.2.3"})
                assert response.text.split()[0] == client
            assert os.environ["FORWARDED_ALLOW_IPS"] == ",".join(trusted)


def test_websockets_are_not_accepted(port):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    assert httpx.get(f"http://127.0.0.1:{port}/early", headers=upgrade).status_code == 200
