"""A real nginx with the configurations of the repository: it forwards requests, and stops slow, large and too many ones."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

import httpx
import pytest

from config.bind_address import is_free
from config.settings import ROOT
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; install Debian's package nginx-light")
TLS, PLAIN = "segue.conf", "compose.conf"
LARGE = 32 << 20
"""More than the sockets buffer."""
IMPATIENT = {
    f"{name}_timeout {old}": f"{name}_timeout 1s" for name, old in [("header", "10s"), ("body", "10s"), ("send", "60s")]
}
START = b"POST /events HTTP/1.1\r\nHost: localhost\r\n"
TLS_SITE = """pid FOLDER/pid; events {}
http { access_log off; client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c;
uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e; include site.conf; }"""


class Backend(http.server.BaseHTTPRequestHandler):
    """Responds with the headers that arrived; to /large with a large body, to /wait when `go` is set."""

    seen: list[str]
    go: threading.Event

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.path == "/wait":
            self.go.wait(60)
        body = bytes(LARGE) if self.path == "/large" else str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.seen.append("sent")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


Proxy = tuple[str, type[Backend]]
"""URL of an nginx, and the class of the backend behind it."""


@contextlib.contextmanager
def running(folder: Path, name: str, changes: dict[str, str]) -> Iterator[Proxy]:
    """An nginx with a configuration of the repository, in which some limits are changed."""
    # The worker processes of a root nginx run as another user.
    outside = Path(tempfile.gettempdir())
    for one in takewhile(lambda parent: parent not in (outside, Path("/")), (folder, *folder.parents)):
        one.chmod(0o755)
    handler = type("Handler", (Backend,), {"seen": [], "go": threading.Event()})
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    port = free_port()
    address = f"127.0.0.1:{backend.server_port}"
    places = {"/tmp/": f"{folder}/", "127.0.0.1:3000": address, "recommender:3000": address}
    places |= {"listen 443": f"listen 127.0.0.1:{port}", "listen 8080": f"listen 127.0.0.1:{port}"}
    places |= {"/etc/nginx/tls": str(folder), "/etc/nginx/segue": str(folder)}
    written = ""
    for source, file in ((name, "site.conf"), ("limits.conf", "limits.conf")):
        text = (ROOT / "deploy" / "nginx" / source).read_text()
        for old, new in (places | changes).items():
            text = text.replace(old, new)
        (folder / file).write_text(text)
        written += text
    assert all(new in written for new in changes.values())
    (folder / "resolver.conf").write_text("resolver 127.0.0.1;")
    (folder / "tls.conf").write_text(TLS_SITE.replace("FOLDER", str(folder)))
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-subj", "/CN=localhost", "-keyout", folder / "segue.key", "-out", folder / "segue.crt"]
    subprocess.run([*certificate, *files], check=True, capture_output=True)
    site = folder / ("tls.conf" if name == TLS else "site.conf")
    server = subprocess.Popen([NGINX, "-e", folder / "error.log", "-p", folder, "-c", site, "-g", "daemon off;"])
    try:
        wait_until(lambda: server.poll() is not None or not is_free("127.0.0.1", port), "nginx")
        assert server.poll() is None, (folder / "error.log").read_text()
        yield f"{'https' if name == TLS else 'http'}://127.0.0.1:{port}", handler
    finally:
        handler.go.set()
        server.terminate()
        server.wait()
        backend.shutdown()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Proxy]:
    with running(tmp_path, PLAIN, IMPATIENT) as started:
        yield started


def request(url: str, path: str, body: bytes | None = None) -> httpx.Response:
    """The response to a request with a forged client address."""
    headers = {"Host": "music.example.org", "X-Forwarded-For": "203.0.113.9"}
    return httpx.request("POST" if body else "GET", url + path, content=body, headers=headers, verify=False, timeout=60)


def connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30)


def exchange(url: str, start: bytes, part: bytes = b"", pause_s: float = 0.0) -> bytes:
    """What nginx responds; until it does, or closes the connection, `part` is sent again and again."""
    with connect(url) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(start)
        for _ in range(20 if part else 0):
            connection.sendall(part)
            time.sleep(pause_s)
        return connection.recv(65536)
    return b""


@pytest.mark.parametrize("name", [TLS, PLAIN])
def test_requests_pass_through_the_proxy(tmp_path: Path, name: str) -> None:
    with running(tmp_path, name, {}) as (url, _):
        passed = request(url, "/recommend")
        assert passed.status_code == 200
        assert "X-Forwarded-For: 127.0.0.1\n" in passed.text
        assert f"X-Forwarded-Proto: {url.partition(':')[0]}\n" in passed.text
        assert "Host: music.example.org\n" in passed.text
        assert request(url, "/metrics").status_code == (404 if name == TLS else 200)
        assert request(url, "/events", b"x" * 1000).status_code == 200
        rejected = request(url, "/events", b"x" * (2 << 20))
        assert rejected.status_code == rejected.json()["status"] == 413


@pytest.mark.parametrize("start", [b"", START, START + b"Content-Length: 9\r\n\r\n{"], ids=["idle", "headers", "body"])
def test_slow_requests_are_closed_and_do_not_reach_the_recommender(impatient: Proxy, start: bytes) -> None:
    url, backend = impatient
    assert exchange(url, start) == b""
    assert backend.seen == []


def test_headers_must_be_complete_in_time_however_many_bytes_arrive(impatient: Proxy) -> None:
    assert exchange(impatient[0], START, b"a: b\r\n", 0.2) == b""


@pytest.mark.parametrize("header", [b"a: " + b"a" * 9000, b"a: b\r\n" * 4000], ids=["one large", "many"])
def test_large_headers_are_rejected(impatient: Proxy, header: bytes) -> None:
    response = exchange(impatient[0], START + header + b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in response


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414), (b"hello\r\n\r\n", 400)],
    ids=["too long", "malformed"],
)
def test_request_lines_that_cannot_be_read_are_rejected(impatient: Proxy, start: bytes, status: int) -> None:
    response = exchange(impatient[0], start)
    assert response.startswith(b"HTTP/1.1 %d " % status) and b"application/problem+json" in response
    assert b'"status":%d' % status in response


def test_slow_readers_do_not_hold_the_recommender(impatient: Proxy) -> None:
    url, backend = impatient
    with connect(url) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: "sent" in backend.seen, "the response of the backend")
        time.sleep(3)
        count = 0
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 20):
                count += len(part)
    assert count < LARGE


def test_further_requests_of_an_address_are_rejected(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN, {"rate=100r/s": "rate=1r/m", "burst=200": "burst=5"}) as (url, _):
        responses = [request(url, "/recommend") for _ in range(8)]
    assert [response.status_code for response in responses] == [200] * 6 + [429] * 2
    assert responses[-1].json()["status"] == 429


def test_requests_in_progress_of_an_address_are_limited(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN, {"segue_connections 48": "segue_connections 2"}) as (url, backend):
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(request, url, "/wait") for _ in range(2)]
            wait_until(lambda: backend.seen == ["/wait"] * 2, "the requests")
            assert request(url, "/recommend").status_code == 429
            backend.go.set()
            assert [one.result().status_code for one in waiting] == [200, 200]
        assert request(url, "/recommend").status_code == 200
