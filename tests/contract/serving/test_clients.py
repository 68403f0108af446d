"""The OpenAPI document is current, and clients generated from it work with a running service."""

import json
import re
import shutil
from pathlib import Path

import playwright
import pytest

from clients import generate
from config import settings
from serving.http import openapi
from tests.contract.serving.test_service import client  # noqa: F401
from tests.support.pipeline_commands import run_to_end

NODE = Path(playwright.__file__).parent / "driver" / "node"


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    generate.write_clients(folder)
    return folder


@pytest.fixture
def segue(url, clients, monkeypatch):
    monkeypatch.syspath_prepend(str(clients / "python"))
    from segue_client import SegueClient

    with SegueClient(url) as client:  # noqa: F811
        yield client


def test_openapi_document_is_that_of_the_service():
    document = generate.format_document(generate.load_document())
    assert generate.DOCUMENT.read_text() == document, "openapi.json is old; run: python -m clients.generate"


def test_python_client_recommends_and_reports(segue):
    daily = segue.recommend(user_id="python", limit=3)
    assert len(daily["items"]) == 3 and daily["release"] == "r1"
    first = daily["items"][0]["track_id"]
    like = {"user_id": "python", "action": "like", "target_type": "track", "target_id": first}
    report = segue.report_events(events=[like, {"user_id": "python"}])
    assert (report["accepted"], report["rejected"][0]["index"]) == (1, 1)
    ends = segue.path(from_="t2", to="t7", length=4)["items"]
    assert (ends[0]["track_id"], ends[-1]["track_id"]) == ("t2", "t7")
    assert segue.status()["release"] == "r1" and segue.readyz().strip() == ""


def test_python_sample_of_the_api_page_works(segue, url):
    (sample,) = re.findall(r"```python\n(.*?)```", openapi.OVERVIEW, flags=re.DOTALL)
    said = {}
    exec(sample.replace("SegueClient()", f"SegueClient({url!r})"), said)
    assert said["like"]["target_id"] == said["answer"]["items"][0]["track_id"]


def test_python_client_raises_the_problems_of_the_service(segue):
    from segue_client import SegueClient, SegueError

    with pytest.raises(SegueError, match="404: track 'nowhere' is not in release r1") as raised:
        segue.similar(track_id="nowhere")
    assert raised.value.status == 404 and raised.value.problem["title"] == "Not Found"
    with pytest.raises(SegueError, match=r"there is no cover of the track 'a/b \?'|is not in release"):
        segue.cover(track_id="a/b ?")
    with pytest.raises(SegueError, match=r"cannot be reached .*make serve"), SegueClient("http://127.0.0.1:9") as away:
        away.livez()


def test_typescript_client_in_node(url, clients):
    node = str(NODE) if NODE.exists() else shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed; it is a part of Playwright's package")
    session = shutil.copy(settings.ROOT / "tests" / "support" / "serving" / "client_session.ts", clients / "typescript")
    said = json.loads(run_to_end([node, session, url], timeout_s=60))
    assert (said["daily"], said["ends"], said["release"], said["ready"]) == (3, ["t2", "t7"], "r1", "")
    assert said["report"] == {"accepted": 1, "duplicate": 0, "rejected": [], "unknown_tracks": []}
    assert said["found"] > 0 and said["error"] == [
        404,
        "track 'nowhere' is not in release r1; use the id of another track",
    ]
    assert "a/b ?" in said["missing"]
