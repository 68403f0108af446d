"""Three real services instead of one: equal responses, reachable from this machine only."""

import http.client
import json
import os
import shutil
import time
from dataclasses import replace

import psutil
import pytest

from benchmarks.serving import release_swap, synthetic_release
from config.settings import is_loopback
from tests.support import recommender_service
from training.slate.scene_settings import SCENES

pytestmark = [pytest.mark.timeout(900)]
USERS = 12


def answers(port):
    """Yield the deterministic part of each response: every scene and similar tracks, for known users and an unknown one.

    Exploration fills the last positions of a daily list, and of a stream that allows discoveries, with random tracks.
    """
    users = [f"u{user:06d}" for user in range(USERS)]
    streams = [(user, discovery) for user in [*users, "unknown"] for discovery in (0.0, 0.5)]
    questions: list[tuple[str, dict[str, object]]] = [
        ("/recommend", {"user_id": user, "scene": "private_fm", "limit": 10, "discovery": discovery})
        for user, discovery in streams
    ]
    others = [scene for scene in SCENES if scene != "private_fm"]
    questions += [
        ("/recommend", {"user_id": user, "scene": scene, "limit": 10})
        for user in (*users[:3], "unknown")
        for scene in others
    ]
    questions += [("/similar", {"track_id": f"t{track}", "limit": 10}) for track in range(3)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for path, body in questions:
        connection.request("POST", path, json.dumps(body | {"debug": True}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        has_exploration = body.get("discovery") or body.get("scene") == "daily"
        deterministic = content["items"][: 3 if has_exploration else 10]
        yield content["release"], deterministic, content["trace"]["candidates"], content["trace"]["left_out"]


def profiles(port):
    """Profiles of users."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for user in ("u000000", "u000001", "unknown"):
        connection.request("POST", "/listener", json.dumps({"user_id": user}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        yield content


def with_collections(folder):
    synthetic_release.add_collections(folder, count=20, tracks=5)


def with_fixed_clock(place, folder):
    """The home with a fixed clock for every process: scores depend on the time of the request."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import time\ntime.time_ns = lambda: {time.time_ns()}\n")
    path = f"{folder}{os.pathsep}{place.variables.get('PYTHONPATH', '')}"
    return replace(place, variables=place.variables | {"PYTHONPATH": path})


def test_three_services_respond_like_one(tmp_path):
    with release_swap.prepare_service(
        tmp_path, tracks=400, recipe="debug", users=USERS, extend_release=with_collections
    ) as prepared:
        place = with_fixed_clock(prepared, tmp_path / "clock")
        with recommender_service.started(place, "/readyz") as one:
            expected, listeners = list(answers(place.port)), list(profiles(place.port))
            alone = len(one.process.members())
        shutil.rmtree(tmp_path / "serving")  # the daily lists of the single service
        with recommender_service.started(place, "/readyz", "--composed") as three:
            assert list(answers(place.port)) == expected
            assert list(profiles(place.port)) == listeners
            members = three.process.members()
            listening = [
                connection.laddr
                for member in members
                for connection in member.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
            assert len(members) == alone + 2
            assert all(is_loopback(address.ip) for address in listening)
            assert place.port in {address.port for address in listening}
    assert all(len(items) in (3, 10) and not left_out for _, items, _, left_out in expected)
    assert listeners[0]["interests"] and listeners[0]["long_term"] and not listeners[2]["is_known"]
    assert {len(candidates) for _, _, candidates, _ in expected} > {
        1
    }  # all channels, and popularity for an unknown user
