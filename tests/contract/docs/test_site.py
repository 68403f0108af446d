"""The documentation as a site: every page is there, no link is broken, and no file is loaded from another site."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.pipeline_commands import run_to_end

pytest.importorskip("material", reason="make docs installs mkdocs-material")
ELSEWHERE = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)]
    run_to_end(command)  # strict: a link of a page to a page that is not there fails it
    return folder


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    assert {
        found for page in site.rglob("*.html") for found in ELSEWHERE.findall(page.read_text(encoding="utf-8"))
    } == set()
