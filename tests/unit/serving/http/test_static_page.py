"""Files of the listening page: complete, small, and without external resources."""

import re
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from recommender.slate.scene_settings import SCENES, Scene
from serving.http.static_page import FOLDER, ListeningPage
from serving.messages import LANGUAGES, load_messages

MODULES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".js", ".mjs"))


@pytest.fixture(scope="module")
def client():
    behind = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("behind"), methods=["GET", "POST"])])
    return TestClient(ListeningPage(behind))


def test_index_loads_existing_local_files_only(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="\./(page/[^"]+)"|"\./(page/vendor/[^"]+)"', page.text)
    # Every module is loaded at once, without waiting for the modules that import it.
    assert {one or other for one, other in loaded} >= {f"page/{name}" for name in MODULES}
    for one, other in loaded:
        assert client.get(f"/{one or other}").status_code == 200
    assert "http" not in page.text


@pytest.mark.parametrize("name", MODULES)
def test_every_import_resolves_to_a_file_or_an_import_map_entry(client, name):
    text = (FOLDER / name).read_text()
    known = set(re.findall(r'"([a-z/]+)": "\./page/vendor', (FOLDER / "index.html").read_text()))
    for imported in re.findall(r'from\s*"([^"]+)"', text):
        assert imported in known or client.get(urljoin(f"/page/{name}", imported)).status_code == 200, imported
    assert client.get(f"/page/{name}").headers["content-type"].startswith("text/javascript")


def test_policy_forbids_external_scripts_and_allows_the_import_map(client):
    page = client.get("/")
    assert page.headers["referrer-policy"] == "no-referrer", "hosts of audio do not learn of the page"
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and len(re.findall("'sha256-[A-Za-z0-9+/=]{44}'", policy)) == 1
    assert "unsafe" not in policy
    assert "media-src 'self' https:;" in policy


def test_only_page_files_are_served_and_other_requests_pass(client):
    for path in ("/page/nothing.js", "/page/%2e%2e/service.py", "/page/"):
        assert client.get(path).status_code == 404
    assert client.get("/docs").text == "behind"
    assert client.post("/").text == "behind"
    assert client.get("/pages").text == "behind"


@pytest.mark.parametrize("language", LANGUAGES)
def test_message_catalogs_are_served_and_have_every_text_of_the_page(client, language):
    catalog = client.get(f"/page/messages/{language}.json").json()
    assert catalog == load_messages(language)
    known = {*catalog["page"], "behaviors", "scenes", "channels", "tasks", "facets"}
    sources = [(FOLDER / name).read_text() for name in MODULES if not name.startswith("vendor")]
    used = {name for text in sources for name in re.findall(r"\btexts\.(\w+)", text)}
    assert len(used) > 30
    assert used <= known


def test_scenes_are_those_of_the_table(client, monkeypatch):
    monkeypatch.setitem(SCENES, "workout", Scene(name="workout", limit=5, max_limit=10, excludes_session_plays=True))
    found = client.get("/page/scenes.json").json()
    assert [scene["name"] for scene in found] == list(SCENES)
    assert found[-1] == {"name": "workout", "target_type": "track", "is_stream": True}
    assert {scene["target_type"] for scene in found} == {"track", "playlist", "mlog"}
