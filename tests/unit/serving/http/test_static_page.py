"""The listening page's files: all there, small, and nothing from elsewhere."""

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.http.static_page import FOLDER, ListeningPage

MOST_BYTES = 300_000
MODULES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".js", ".mjs"))


@pytest.fixture(scope="module")
def client():
    behind = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("behind"), methods=["GET", "POST"])])
    return TestClient(ListeningPage(behind))


def test_the_page_loads_only_its_own_files_and_they_are_there(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="\./(page/[^"]+)"|"\./(page/vendor/[^"]+)"', page.text)
    assert len(loaded) == 5
    for one, other in loaded:
        assert client.get(f"/{one or other}").status_code == 200
    assert "http" not in page.text


@pytest.mark.parametrize("name", MODULES)
def test_every_import_leads_to_a_file_or_a_name_of_the_import_map(client, name):
    text = (FOLDER / name).read_text()
    known = set(re.findall(r'"([a-z/]+)": "\./page/vendor', (FOLDER / "index.html").read_text()))
    for imported in re.findall(r'from\s*"([^"]+)"', text):
        assert imported in known or client.get(f"/page/{imported.removeprefix('./')}").status_code == 200
    assert client.get(f"/page/{name}").headers["content-type"].startswith("text/javascript")


def test_it_is_small():
    served = [path for path in FOLDER.rglob("*") if path.suffix in (".html", ".css", ".js", ".mjs")]
    assert sum(path.stat().st_size for path in served) < MOST_BYTES


def test_scripts_of_others_are_forbidden_and_the_import_map_is_not(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and len(re.findall("'sha256-[A-Za-z0-9+/=]{44}'", policy)) == 1
    assert "unsafe" not in policy
    assert "media-src 'self' https:;" in policy


def test_nobody_learns_from_where_a_song_is_heard(client):
    assert client.get("/").headers["referrer-policy"] == "no-referrer"


def test_nothing_but_its_files_is_given_and_the_rest_passes(client):
    for path in ("/page/nothing.js", "/page/%2e%2e/service.py", "/page/"):
        assert client.get(path).status_code == 404
    assert client.get("/docs").text == "behind"
    assert client.post("/").text == "behind"
    assert client.get("/pages").text == "behind"


def test_both_languages_say_everything(client):
    text = (FOLDER / "words.js").read_text()
    english, chinese = text.split("const CHINESE")
    keys = re.compile(r"^  (\w+):", flags=re.MULTILINE)
    assert keys.findall(english) == keys.findall(chinese.split("export")[0]) != []
