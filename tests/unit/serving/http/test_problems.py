"""Problem documents for every error response, from any layer."""

import asyncio
import json

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from serving.http.problems import ProblemDetails
from tests.support.serving.asgi_call import call

PROBLEM = "application/problem+json"


def render(response, method="GET", path="/recommend"):
    """Status, headers and body of what the wrapped response becomes; neither a body nor a disconnect arrives."""
    app = ProblemDetails(response, {"/recommend": "POST", "/status": "GET"}, {"/recommend": ["limit"]})
    status, headers, body = asyncio.run(call(app, {"method": method, "path": path}, until=asyncio.Event()))
    return status, {name.decode(): value.decode() for name, value in headers.items()}, body


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (JSONResponse({"error": "Not able to process the request in 30 seconds"}, 504), "Not able to process"),
        (PlainTextResponse("Internal Server Error", 500), "Internal Server Error"),
        (PlainTextResponse("", 503), "Service Unavailable: GET /recommend"),
        (JSONResponse([1], 500), "[1]"),
        (StreamingResponse(iter([b"two ", b"parts"]), 500), "two parts"),
    ],
)
def test_other_errors_become_problems_with_their_headers(response, detail):
    response.headers["retry-after"] = "7"
    status, headers, body = render(response)
    problem = json.loads(body)
    assert (status, headers["content-type"], headers["retry-after"]) == (response.status_code, PROBLEM, "7")
    assert int(headers["content-length"]) == len(body)
    assert problem["status"] == status and problem["detail"].startswith(detail)


def test_responses_without_an_error_and_problems_pass_unchanged():
    assert render(PlainTextResponse("well"))[::2] == (200, b"well")
    assert render(JSONResponse({"mine": 1}, 404, media_type=PROBLEM))[::2] == (404, b'{"mine":1}')


def test_every_invalid_field_has_a_pointer():
    errors = [{"type": "extra_forbidden", "loc": [f"x{n}"], "msg": "no"} for n in range(7)]
    problem = json.loads(render(JSONResponse({"detail": errors}, 400), "POST")[2])
    assert problem["detail"].startswith("x0: unknown field; allowed are limit; x1:")
    assert problem["detail"].endswith("; and 2 more")
    assert [error["pointer"] for error in problem["errors"]] == [f"/x{n}" for n in range(7)]
