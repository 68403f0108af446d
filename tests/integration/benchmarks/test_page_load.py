"""The timer of the page benchmark, on a page with a strict content security policy."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.serving.page_load import visit
from tests.support import browser

SCRIPT = b"setTimeout(() => { document.body.innerHTML = '<p class=\"song\">a song</p>'; }, 300);"
FILES = {"/": ("text/html", b'<link rel="icon" href="data:,"><script src="/late.js"></script>' + b" " * 5_000),
         "/late.js": ("text/javascript", SCRIPT)}  # fmt: skip


class Strict(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, body = FILES[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_visit_measures_time_to_the_first_list_and_transferred_bytes():
    if browser.find_chromium() is None:
        pytest.skip("no Chromium here; install Debian's package chromium")
    with ThreadingHTTPServer(("127.0.0.1", 0), Strict) as server, browser.launch() as opened:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        drawn_ms, kilobytes = visit(opened, f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
    assert drawn_ms >= 300
    assert 5 < kilobytes < 7
