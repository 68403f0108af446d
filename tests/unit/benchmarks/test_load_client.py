"""The load generator against a server with a known answer time."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from benchmarks.serving.load_client import send_requests

ANSWER_S = 0.02
ANSWER = json.dumps({"items": [None] * 30, "degraded": {"online_store": "no answer"}}).encode()


class Answering(BaseHTTPRequestHandler):
    """Answers each request after `ANSWER_S`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(ANSWER_S)
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_elapsed_seconds_cover_all_requests_of_a_closed_loop(port: int) -> None:
    sent = send_requests(port, 0, 8, clients=2, rate=None)
    assert sent["wall_s"] >= 8 / 2 * ANSWER_S
    assert sent["status"] == [200] * 8
    assert sent["degraded"] == [["online_store"]] * 8


def test_requests_of_an_open_loop_are_sent_on_the_clock(port: int) -> None:
    sent = send_requests(port, 0, 8, clients=8, rate=100.0)
    assert sent["wall_s"] >= 7 / 100 + ANSWER_S
    assert max(sent["seconds"]) < 1
