"""Chromium for tests of pages, without background network traffic."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


class _Shared:
    """The browser of the current `shared`, which starts with its first page."""

    stack: ExitStack | None = None
    browser: Browser | None = None


@contextmanager
def shared() -> Iterator[None]:
    """Until the end of the context, pages are opened in one browser, because starting it takes longer than most tests.

    Meanwhile this thread has a running event loop, so that it cannot call `asyncio.run`.
    """
    with ExitStack() as stack:
        _Shared.stack = stack
        try:
            yield
        finally:
            _Shared.stack = _Shared.browser = None


@contextmanager
def _open_browser() -> Iterator[Browser]:
    if _Shared.stack is None:
        with launch() as browser:
            yield browser
        return
    if _Shared.browser is None or not _Shared.browser.is_connected():
        _Shared.browser = _Shared.stack.enter_context(launch())
    yield _Shared.browser


@contextmanager
def open_page(expected_error: str | None = None, **options: Any) -> Iterator[Page]:
    """Page with cookies, storage and cache of its own; fails if it logs an unexpected error. Skips the test without Chromium."""
    if find_chromium() is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH; install Debian's package chromium")
    errors: list[str] = []
    with _open_browser() as browser, browser.new_context(**options) as context:
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
