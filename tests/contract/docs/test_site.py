"""The documentation as a site: every page is there, no link is broken, and no file is loaded from another site."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config import settings

pytest.importorskip("material", reason="make docs installs mkdocs-material")
ELSEWHERE = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # strict: a link of a page to a page that is not there fails it
    return folder


def test_every_page_is_in_it(site: Path) -> None:
    pages = {file.relative_to(site).as_posix() for file in site.rglob("*.html")}
    names = {
        file.relative_to(settings.ROOT / "docs").with_suffix(".html").as_posix()
        for file in (settings.ROOT / "docs").rglob("*.md")
        if file.parent.name != "log"  # for those who work on the code
    }
    wanted = {re.sub(r"README\.html$", "index.html", name) for name in names}
    external = {
        "serving/index.html",
        "clients/index.html",
        "ingestion/readers/index.html",
        "research/index.html",
        "CHANGELOG.html",
    }
    assert wanted | external <= pages and not any(name.startswith("log/") for name in pages)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    assert {
        found for page in site.rglob("*.html") for found in ELSEWHERE.findall(page.read_text(encoding="utf-8"))
    } == set()
