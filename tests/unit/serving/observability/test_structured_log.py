"""The log has one JSON object per line, whatever its messages contain."""

import io
import json
import logging

import pytest

from serving.observability import structured_log
from tests.support.serving.asgi_client import kept_loggers


@pytest.fixture
def server_log():
    """The log of BentoML, as JSON lines; the second configuration replaces the first."""
    stream = io.StringIO()
    with kept_loggers():
        structured_log.configure_logging(io.StringIO())
        structured_log.configure_logging(stream)
        logging.getLogger("bentoml").setLevel(logging.INFO)
        yield stream


def test_lines_of_the_server_cannot_be_forged(server_log):
    logging.getLogger("bentoml.access").info("(path=%s) %d", "/a\nforged\r\x1b[31m\x9b\u2028", 404)
    assert "forged\\r\\u001b" in server_log.getvalue() and len(server_log.getvalue().splitlines()) == 1
    assert json.loads(server_log.getvalue())["message"] == "(path=/a\nforged\r\x1b[31m\x9b\u2028) 404"


def test_the_access_log_does_not_repeat_long_headers(server_log):
    logging.getLogger("bentoml.access").info("10.0.0.1 (method=POST,type=%s) (status=%d)", "x" * 5000, 415)
    line = json.loads(server_log.getvalue())
    assert len(line["message"]) < 700
    assert line["message"].startswith("10.0.0.1 (method=POST") and "(status=415)" in line["message"]
