"""nginx accepts the reverse proxy's configuration and forwards requests by it."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import ROOT
from local.ports import free_port, is_free
from tests.e2e.installation import wait_until

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class Backend(http.server.BaseHTTPRequestHandler):
    """Responds with the headers that arrived."""

    def do_GET(self) -> None:
        body = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """Port of an nginx with the configuration of the repository, in front of a `Backend`."""
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    port = free_port()
    certificate = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=music.example.org"
    )
    files = ["-keyout", folder / "segue.key", "-out", folder / "segue.crt"]
    subprocess.run([*certificate.split(), *files], check=True, capture_output=True)
    site = (ROOT / "deploy" / "nginx" / "segue.conf").read_text()
    for old, new in {
        "127.0.0.1:3000": f"127.0.0.1:{backend.server_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/nginx/tls": str(folder),
    }.items():
        assert old in site
        site = site.replace(old, new)
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy"))
    (folder / "segue.conf").write_text(site)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/segue.conf; }}\n"
    )
    command = [NGINX, "-c", configuration, "-p", folder, "-e", folder / "error.log"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    server = subprocess.Popen(command)
    try:
        wait_until(lambda: server.poll() is not None or not is_free("127.0.0.1", port), "nginx")
        yield port
    finally:
        server.terminate()
        server.wait()
        backend.shutdown()


def request(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Status and body of a request over TLS with a forged client address."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
    connection.request(method, path, body, {"Host": "music.example.org", "X-Forwarded-For": "203.0.113.9"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_requests_pass_through_the_proxy(tmp_path: Path) -> None:
    # The worker processes of a root nginx run as another user.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with running(tmp_path) as port:
        status, headers = request(port, "GET", "/recommend")
        assert status == 200
        assert "X-Forwarded-For: 127.0.0.1\n" in headers
        assert "X-Forwarded-Proto: https\n" in headers
        assert "Host: music.example.org\n" in headers
        assert request(port, "GET", "/metrics")[0] == 404
        assert request(port, "POST", "/events", b"x" * 1000)[0] == 200
        assert request(port, "POST", "/events", b"x" * (2 << 20))[0] == 413
