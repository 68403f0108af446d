"""The log has one JSON object per line, with the id of the request."""

import io
import json
import logging

import pytest

from serving.observability import structured_log
from tests.support.serving.asgi_client import kept_loggers


@pytest.fixture
def stream():
    stream = io.StringIO()
    with kept_loggers():
        structured_log.configure_logging(io.StringIO())
        structured_log.configure_logging(stream)
        yield stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def server_log(stream):
    """The log of BentoML."""
    logger = logging.getLogger("bentoml")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield stream
    logger.setLevel(before)


def test_lines_of_the_server_cannot_be_forged(server_log):
    logging.getLogger("bentoml.access").info("(path=%s) %d", "/a\nforged\r\x1b[31m\x9b\u2028", 404)
    assert "forged\\r\\u001b" in server_log.getvalue() and len(server_log.getvalue().splitlines()) == 1
    assert lines(server_log)[0]["message"] == "(path=/a\nforged\r\x1b[31m\x9b\u2028) 404"


def test_the_access_log_does_not_repeat_long_headers(server_log):
    logging.getLogger("bentoml.access").info("10.0.0.1 (method=POST,type=%s) (status=%d)", "x" * 5000, 415)
    (line,) = lines(server_log)
    assert len(line["message"]) < 700
    assert line["message"].startswith("10.0.0.1 (method=POST") and "(status=415)" in line["message"]
