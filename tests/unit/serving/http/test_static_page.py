"""Files of the listening page: complete, small, and without external resources."""

import re
import shutil
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from recommender.slate.scene_settings import SCENES, Scene
from serving.http import static_page
from serving.http.static_page import FOLDER, page_routes
from serving.messages import LANGUAGES, load_messages

MODULES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".js", ".mjs"))


@pytest.fixture(scope="module")
def client():
    return TestClient(Starlette(routes=[*page_routes(), Route("/docs", lambda _: PlainTextResponse("behind"))]))


@pytest.fixture(scope="module")
def files(client):
    """Path of the files of this version."""
    return re.search(r"/page/\w+/", client.get("/").text).group()


def test_the_first_list_needs_few_and_small_files(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html") and "http" not in page.text
    loaded = re.findall(r'(?:src|href)="\./(page/[^"]+)"', page.text)
    # With the page, the texts and the list itself at most 12 requests and 80 KB.
    assert len(loaded) <= 9
    sizes = {one: int(client.get(f"/{one}").headers["content-length"]) for one in loaded}
    assert sum(sizes.values()) < 50_000, sizes


@pytest.mark.parametrize("name", MODULES)
def test_every_import_resolves_to_a_file_that_clients_keep(client, files, name):
    module = client.get(f"{files}{name}")
    assert module.headers["content-type"].startswith("text/javascript")
    assert "immutable" in module.headers["cache-control"]
    for imported in re.findall(r'(?m)(?:^import .*from |import\()"(\.[^"]+)"', module.text):
        assert client.get(urljoin(f"{files}{name}", imported)).status_code == 200, imported


def test_another_content_has_another_address(client, files, tmp_path, monkeypatch):
    monkeypatch.setattr(static_page, "FOLDER", shutil.copytree(FOLDER, tmp_path / "page"))
    (tmp_path / "page" / "app.js").write_text("// new")
    changed = TestClient(Starlette(routes=page_routes())).get("/")
    assert files not in changed.text and changed.headers["cache-control"] == "no-cache"


def test_policy_forbids_external_scripts(client):
    page = client.get("/")
    assert page.headers["referrer-policy"] == "no-referrer", "hosts of audio do not learn of the page"
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "script-src" not in policy
    assert "media-src 'self' https:;" in policy


def test_only_page_files_are_served_and_other_requests_pass(client):
    for path in ("/page/nothing.js", "/page/%2e%2e/service.py", "/page/"):
        assert client.get(path).status_code == 404
    assert client.get("/docs").text == "behind"
    assert (client.post("/").status_code, client.get("/pages").status_code) == (405, 404)


@pytest.mark.parametrize("language", LANGUAGES)
def test_message_catalogs_are_served_and_have_every_text_of_the_page(client, files, language):
    catalog = client.get(f"{files}messages/{language}.json").json()
    assert catalog == load_messages(language)
    sources = [(FOLDER / name).read_text() for name in MODULES if not name.startswith("vendor")]
    used = {name for text in sources for name in re.findall(r"\btexts\.(\w+)", text)}
    assert len(used) > 30
    assert used <= {*catalog["page"], "behaviors", "scenes", "channels", "tasks", "facets"}


def test_scenes_are_those_of_the_table(client, files, monkeypatch):
    monkeypatch.setitem(SCENES, "workout", Scene(name="workout", limit=5, max_limit=10, excludes_session_plays=True))
    found = client.get(f"{files}scenes.json").json()
    assert [scene["name"] for scene in found] == list(SCENES)
    assert found[-1] == {"name": "workout", "target_type": "track"}
    assert {scene["target_type"] for scene in found} == {"track", "playlist", "mlog"}
