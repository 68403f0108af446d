"""Mistakes of people who use Segue for the first time: each gets a message that names the value and the remedy."""

import os
import shutil
import subprocess
import sys

import pytest

from config import settings
from storage.suppression_list import UNFINISHED_FILE
from tests.contract.serving.test_service import client  # noqa: F401

LIKE = {"user_id": "u", "action": "like", "target_type": "track", "target_id": "t0"}
PLAY = LIKE | {"action": "play", "played_ms": 1000}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/recommend", {"user_id": "u", "limits": 5}, 400, "limits: unknown field; did you mean `limit`?"),
        ("POST", "/recommend", {"userId": "u"}, 400, "userId: unknown field; did you mean `user_id`?"),
        ("POST", "/recommend", {"user_id": "u", "colour": "red"}, 400, "allowed are user_id, scene, limit, discovery"),
        ("POST", "/recommend", {}, 400, "user_id is missing; give it, or seeds or a title"),
        ("POST", "/recommend", {"user_id": 7}, 400, "user_id: Input should be a valid string"),
        ("POST", "/recommend", {"user_id": "u", "limit": "ten"}, 400, "limit: Input should be a valid integer"),
        ("POST", "/recommend", {"user_id": "u", "limit": "10"}, 400, "limit: Input should be a valid integer"),
        ("POST", "/recommend", {"user_id": "u", "debug": 0}, 400, "debug: Input should be a valid boolean"),
        ("POST", "/search", {"explicit": "yes"}, 400, "explicit: Input should be a valid boolean"),
        (
            "POST",
            "/recommend",
            {"user_id": "u", "limit": 1000},
            400,
            "not between 1 and 100, the maximum of scene daily",
        ),
        ("POST", "/recommend", {"user_id": "u", "limit": 2.5}, 400, "limit: Input should be a valid integer"),
        (
            "POST",
            "/recommend",
            {"user_id": "u", "discovery": 1.5},
            400,
            "discovery: Input should be less than or equal to 1",
        ),
        ("POST", "/recommend", {"user_id": "u", "territory": "Germany"}, 400, "territory: String should"),
        (
            "POST",
            "/recommend",
            {"seeds": ["t0", "x", "y"]},
            404,
            "tracks 'x', 'y' are not in release r1; omit them from seeds",
        ),
        ("POST", "/recommend", {"seeds": ["t"] * 101}, 400, "at most 100"),
        ("POST", "/recommend", {"seeds": ["t0"], "negative_seeds": ["t"] * 101}, 400, "at most 100"),
        (
            "POST",
            "/recommend",
            {"title": "Calm", "negative_seeds": ["t0"]},
            400,
            "negative_seeds need seeds; give the tracks",
        ),
        (
            "POST",
            "/recommend",
            {"seeds": ["t0"], "negative_seeds": ["x"]},
            404,
            "track 'x' is not in release r1; omit them from",
        ),
        ("POST", "/similar", {"track_id": "t0", "exclude": ["t"] * 1001}, 400, "at most 1000"),
        ("POST", "/recommend", {"seeds": [""]}, 400, "at least 1"),
        ("POST", "/recommend", {"seeds": "t0"}, 400, "valid array"),
        ("POST", "/recommend", {"title": "x" * 201}, 400, "at most 200"),
        ("POST", "/recommend", {"seeds": ["t0"], "scene": "private_fm"}, 400, "not defined for a playlist"),
        (
            "POST",
            "/recommend",
            {"user_id": "u", "scene": "radio"},
            400,
            "scene 'radio' is not one of daily, private_fm",
        ),
        ("POST", "/recommend", {"user_id": "u", "language": "de"}, 400, "language: Input should be 'en' or 'zh'"),
        ("GET", "/recommend", None, 405, "GET is not allowed for /recommend; send POST with a JSON body"),
        ("POST", "/status", {}, 405, "POST is not allowed for /status; send GET"),
        ("POST", "/recomend", {"user_id": "u"}, 404, "there is no path '/recomend'; did you mean /recommend?"),
        ("GET", "/api/v1/tracks", None, 404, "GET /openapi.json lists all paths"),
        ("POST", "/similar", {"track_id": "Song 0"}, 404, "track 'Song 0' is not in release r1"),
        (
            "POST",
            "/path",
            {"from_track": "t0", "to": "t7"},
            400,
            "from_track: unknown field; allowed are from, to, length",
        ),
        ("POST", "/path", {"from": "t2"}, 400, "to: Field required"),
        (
            "POST",
            "/path",
            {"from": "t2", "to": "nowhere"},
            404,
            "track 'nowhere' is not in release r1; use the id of another",
        ),
        ("POST", "/path", {"from": "t2", "to": "t2"}, 400, "give two tracks"),
        ("POST", "/path", {"from": "t2", "to": "t7", "length": 51}, 400, "less than or equal to 50"),
        ("POST", "/path", {"from": "t1", "to": "t7"}, 400, "from 't1' may not be played (filter outside_territory)"),
        ("POST", "/similar", {"track_id": "t0", "limit": 101}, 400, "limit"),
        ("POST", "/explain", {"user_id": "u", "track_id": "unknown"}, 404, "track 'unknown' is not in release r1"),
        ("POST", "/search", {"limit": 51}, 400, "limit"),
        ("POST", "/search", {"query": "x" * 201}, 400, "query"),
        ("POST", "/search", {"query": "x", "user_id": "\a"}, 400, "user_id"),
        ("POST", "/library", {"user_id": "\a"}, 400, "printable"),
        ("POST", "/listener", {"user_id": "\a"}, 400, "printable"),
        ("POST", "/listener", {}, 400, "user_id: Field required"),
        ("POST", "/events", [LIKE], 400, "the body: Input should be an object"),
        ("POST", "/events", {"events": [{"user_id": "u"}]}, 422, "target_type is missing"),
        ("POST", "/events", {"events": [LIKE | {"track_id": "t0"}]}, 422, "unknown column 'track_id'"),
        ("POST", "/events", {"events": [LIKE | {"timestamp": 1}]}, 422, "the contract has event_id"),
        ("POST", "/events", {"events": [LIKE | {"action": "listen"}]}, 422, "action 'listen' is not one of impression"),
        ("POST", "/events", {"events": [LIKE | {"action": "play"}]}, 422, "plays need it, in milliseconds"),
        ("POST", "/events", {"events": [PLAY | {"ended_at": 1_790_000_000}]}, 422, "multiply seconds by 1,000,000"),
    ],
)
def test_request(client, method, path, body, status, message):  # noqa: F811
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert message in problem["detail"] and problem["error"] == problem["detail"]
    assert problem["status"] == status and problem["title"] and problem["type"] == "about:blank"


@pytest.fixture
def variables():
    """Those of make, without an outer make."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "RECEIPE=debug"], "there is no variable RECEIPE; did you mean RECIPE?"),
        (["run", "LOG=/music"], "there is no variable LOG; did you mean LOGS?"),
        (["start"], "there is no target 'start'; `make help` lists the targets"),
    ],
)
def test_make(variables, arguments, message):
    command = ["make", "--dry-run", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, cwd=settings.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and message in done.stderr


@pytest.mark.parametrize(("home", "status"), [("", 0), (".", 2)])
def test_make_clean_removes_what_segue_wrote_and_keeps_the_source_code(tmp_path, variables, home, status):
    shutil.copy(settings.ROOT / "Makefile", tmp_path)
    source, removed = {"dbt", "training"}, {"var/landing", "var/marts", "var/bentoml"}
    kept = source | {f"var/{name}" for name in ("mine", "content", "suppression_list.json", UNFINISHED_FILE)}
    for folder in kept | removed:
        (tmp_path / folder).mkdir(parents=True)
    for command in (["make", "clean", f"SEGUE_HOME={home}"], ["env", f"SEGUE_HOME={home}", "make", "clean"]):
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
    assert {name for name in kept | removed if (tmp_path / name).exists()} == (kept | removed if home else kept)
