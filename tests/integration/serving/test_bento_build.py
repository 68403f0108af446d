"""`bentoml build`: the bento is complete and starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from config import settings
from config.tool_environment import tool_environment
from tests.support import background, recorded
from tests.support.pipeline_commands import run_to_end
from tests.support.ports import free_port
from tests.support.recommender_service import wait_until_ready

PROGRAM = str(Path(sys.executable).parent / "bentoml")
UV = str(Path(sys.executable).parent / "uv")
IMPORTED = """
import sys
sys.path[0] = sys.argv[1]
import serving.service, serving.releases.served_release, releases.bundle, sequences.online.reader
import recommender.search.track_search
from recommender.search.lexicon import Lexicon, known_phrases
from serving.http import openapi
from serving import messages
Lexicon(known_phrases()), openapi.load_examples(), [messages.load_messages(language) for language in messages.LANGUAGES]
ours = ("config", "event_store", "sequences", "content", "recommender", "releases", "serving")
print("\\n".join(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ours and m.__file__))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environment(home):
    return os.environ | tool_environment(settings.Settings(home=home))


@pytest.fixture(scope="module")
def source(home, environment):
    exported = re.search(r"^ *uv (export .+)$", (settings.ROOT / "deploy/README.md").read_text(), re.MULTILINE)[1]
    subprocess.run([UV, *exported.split()], cwd=settings.ROOT, check=True)
    run_to_end([PROGRAM, "build", "--output", "tag"], environment)
    (latest,) = (home / "bentoml" / "bentos" / "segue").glob("*/src")
    return latest


def test_bento_contains_all_imports(source, environment):
    printed = run_to_end([sys.executable, "-c", IMPORTED, str(source)], environment, folder=source)
    assert [file for file in printed.splitlines() if not Path(file).is_relative_to(source)] == []
    assert (source / "feature_repo" / "feature_store.yaml").exists()


def test_bento_starts_and_accepts_events_without_a_release(source, home, environment):
    port, log = free_port(), home / "serve.log"
    service = background.start(
        [PROGRAM, "serve", "segue:latest", "--host", "127.0.0.1", "--port", str(port)], environment, home, log
    )
    try:
        wait_until_ready(service, port, "/livez", log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            event = {"user_id": "u", "target_type": "track", "target_id": "t", "action": "like"}
            assert client.post("/events", json={"events": [event]}).json()["accepted"] == 1
            answer = client.post("/recommend", json={"user_id": "u"})
            assert (answer.status_code, client.get("/readyz").status_code) == (503, 503)
        connections = [one for member in service.members() for one in member.net_connections("tcp")]
        assert {one.laddr.port for one in connections if not one.raddr} == {port}
    finally:
        service.stop(timeout_s=60)
    assert [event["action"] for event in recorded.events(home)] == ["like"]
