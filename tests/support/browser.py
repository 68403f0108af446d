"""Chromium for tests of pages, without background network traffic."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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


def find_chromium() -> str | None:
    """Path of Chromium, a package of the operating system (Debian: chromium); None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launch() -> Iterator[Browser]:
    """Start a browser.

    Raises:
        FileNotFoundError: Chromium is not installed.
    """
    path = find_chromium()
    if path is None:
        raise FileNotFoundError(f"none of {', '.join(NAMES)} is on the PATH; install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


_shared: list[Browser | None] = []
"""The browsers of the current `shared`."""


@contextmanager
def shared() -> Iterator[None]:
    """Until the end of the context, pages are opened in one browser, because starting it takes longer than most tests.

    Meanwhile this thread has a running event loop, so that it cannot call `asyncio.run`.
    """
    with launch() if find_chromium() else nullcontext() as browser:
        _shared.append(browser)
        yield
        _shared.pop()


@contextmanager
def open_page(expected_error: str | None = None, **options: Any) -> Iterator[Page]:
    """Page of the `shared` browser with cookies, storage and cache of its own; fails if it logs an unexpected error.

    Skips the test without Chromium.
    """
    browser = _shared[-1]
    if browser is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH; install Debian's package chromium")
    errors: list[str] = []
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert [error for error in errors if expected_error is None or expected_error not in error] == []


def accessibility_violations(page: Page) -> list[str]:
    """Serious and critical accessibility violations that axe finds: rule and element."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html']}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
