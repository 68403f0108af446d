"""A real Chromium for the pages, without a way out of the machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

PATIENCE_MS = 60_000
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def program() -> str | None:
    """Where Chromium is; it comes from the operating system (Debian's package chromium), not from an index."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A new browser.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    found = program()
    if found is None:
        raise FileNotFoundError(f"none of {', '.join(NAMES)} is on the PATH; install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(**context: Any) -> Iterator[Page]:
    """A page of a new browser; afterwards its console must have been silent.

    Skips where there is no Chromium.
    """
    if program() is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH; install Debian's package chromium")
    said: list[str] = []
    with launched() as browser:
        page = browser.new_page(**context)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
    assert said == []


def serious(page: Page) -> list[str]:
    """What axe finds on the page that keeps people out: rule and the element, serious or critical."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
