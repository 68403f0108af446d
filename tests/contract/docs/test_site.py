"""The documentation as a site: every page is there, no link is broken, and no file is loaded from another site."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.pipeline_commands import run_to_end

pytest.importorskip("material", reason="make docs installs mkdocs-material")
ELSEWHERE = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"')


def test_links_are_whole_and_nothing_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    # strict: a link of a page to a page that is not there fails it
    run_to_end([sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(tmp_path)])
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")]
    assert pages and [found for page in pages for found in ELSEWHERE.findall(page)] == []
