"""Load time of the listening page in a real Chromium with an empty cache, over 50,000 tracks. Results of `run(visits)`:

page_first_list      ms from navigation until the first list is drawn, median; must stay under 600
page_transfer        KB that the browser fetched until the first list was drawn, headers included; must stay under 400
"""

from __future__ import annotations

import statistics

from playwright.sync_api import Browser, Request

from research.result import Result, result_with_limit
from research.serving.recommend_endpoint import SMALL, serve_release
from tests.support import browser

FIRST_LIST_OBSERVER = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".song")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.firstList = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
WARM_UP_VISITS = 3


def run(visits: int) -> list[Result]:
    """Return both results; each visit is the first of the day of another user, in its own browser context."""
    with serve_release(SMALL, "small", workers=1) as (service, _), browser.launch() as opened:
        address = f"http://127.0.0.1:{service.port}/?user=u"
        seen = [visit(opened, f"{address}{number:06d}") for number in range(WARM_UP_VISITS + visits)]
    times, sizes = zip(*seen[WARM_UP_VISITS:], strict=True)
    return [
        result_with_limit("page_first_list", "ms", statistics.median(times), 600),
        result_with_limit("page_transfer", "KB", max(sizes), 400),
    ]


def visit(opened: Browser, address: str) -> tuple[float, float]:
    """Return the milliseconds until the first list is drawn, and the KB fetched."""
    context = opened.new_context()
    page = context.new_page()
    page.add_init_script(FIRST_LIST_OBSERVER)
    fetched: list[Request] = []
    page.on("requestfinished", lambda request: fetched.append(request))  # noqa: PLW0108 - Playwright sets attributes on the handler
    page.goto(address)
    page.locator(".song").first.wait_for()
    drawn_ms, kilobytes = float(page.evaluate("window.firstList")), sum(map(_bytes, fetched)) / 1000
    context.close()
    return drawn_ms, kilobytes


def _bytes(request: Request) -> int:
    size = request.sizes()
    sent, received = size["requestHeadersSize"] + size["requestBodySize"], size["responseHeadersSize"]
    return sent + received + size["responseBodySize"]
