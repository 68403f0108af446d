"""The log has one JSON object per line, with the id of the request."""

import io
import json
import logging
import re

import pytest

from serving.observability import structured_log


@pytest.fixture
def stream():
    logger, stream = logging.getLogger(structured_log.PACKAGE), io.StringIO()
    before = logger.handlers, logger.propagate, logger.level
    structured_log.configure_logging(io.StringIO())
    structured_log.configure_logging(stream)
    yield stream
    logger.handlers, logger.propagate, logger.level = before


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_has_request_id_fields_and_traceback(stream):
    logger = logging.getLogger("serving.pipeline.track_pipeline")
    token = structured_log.REQUEST_ID.set("r1")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("channel %s failed", "realtime", extra={"fields": {"ms": 1.5, "folder": stream}})
    structured_log.REQUEST_ID.reset(token)
    logger.info("later")
    first, second = lines(stream)
    assert (first["level"], first["logger"], first["message"]) == (
        "error",
        "serving.pipeline.track_pipeline",
        "channel realtime failed",
    )
    assert (first["request_id"], first["ms"]) == ("r1", 1.5)
    assert "ValueError: two\nlines" in first["traceback"] and "StringIO" in first["folder"]
    assert first["at"].endswith("+00:00")
    assert (second["message"], "request_id" in second, "traceback" in second) == ("later", False, False)


@pytest.fixture
def server_log(stream):
    """The text lines of BentoML."""
    logger, output = logging.getLogger("bentoml"), io.StringIO()
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [logging.StreamHandler(output)], False
    logger.setLevel(logging.INFO)
    structured_log.configure_logging(io.StringIO())
    structured_log.configure_logging(stream)
    yield output
    logger.handlers, logger.propagate, logger.level = before


@pytest.mark.parametrize(
    ("line", "values", "written"),
    [
        pytest.param(
            "(path=%s) %d",
            ("/a\nforged\r\x1b[31m\x9b\u2028", 404),
            r"\(path=/a\\nforged\\r\\x1b\[31m\\x9b\\u2028\) 404",
            id="control characters are escaped",
        ),
        pytest.param("(path=%s)", ("/Ünïcode",), r"\(path=/Ünïcode\)", id="other characters are not"),
        pytest.param(
            "(type=%s) (status=%d)", ("x" * 5000, 415), r"\(type=.{,600}\(status=415\)", id="long headers are cut"
        ),
    ],
)
def test_lines_of_the_server_cannot_be_forged(server_log, line, values, written):
    logging.getLogger("bentoml.access").info(line, *values)
    assert re.fullmatch(written + "\n", server_log.getvalue())
