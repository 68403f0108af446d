"""Load time of the listening page in a real Chromium with an empty cache, over 50,000 tracks. Results of `run(visits)`:

page_first_list      ms from navigation until the first list is drawn, median; must stay under 600
page_transfer        KB that the browser fetched until then, headers included, without covers and audio; must stay under 80
page_requests        number of these requests; at most 12
"""

from __future__ import annotations

import statistics

from playwright.sync_api import Browser

from research.result import Result, result_with_limit
from research.serving.recommend_endpoint import SMALL, serve_release
from tests.support import browser

FIRST_LIST_OBSERVER = """
window.firstList = new Promise((resolve) => new MutationObserver((_, observer) => {
  if (!document.querySelector(".song")) return;
  observer.disconnect();
  const entries = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
  const fetched = entries.filter((entry) => !entry.name.includes("/media/")).map((entry) => entry.transferSize);
  requestAnimationFrame(() => requestAnimationFrame(() => resolve([performance.now(), fetched])));
}).observe(document, { childList: true, subtree: true }));
"""
WARM_UP_VISITS = 3


def run(visits: int) -> list[Result]:
    """Return the results; each visit is the first of the day of another user, in its own browser context."""
    with serve_release(SMALL, "small", workers=1) as (service, _), browser.launch() as opened:
        address = f"http://127.0.0.1:{service.port}/?user=u"
        seen = [visit(opened, f"{address}{number:06d}") for number in range(WARM_UP_VISITS + visits)]
    times, sizes = zip(*seen[WARM_UP_VISITS:], strict=True)
    return [
        result_with_limit("page_first_list", "ms", statistics.median(times), 600),
        result_with_limit("page_transfer", "KB", max(map(sum, sizes)) / 1000, 80),
        result_with_limit("page_requests", "requests", max(map(len, sizes)), 12),
    ]


def visit(opened: Browser, address: str) -> tuple[float, list[int]]:
    """Return the milliseconds until the first list is drawn, and the bytes of each request before."""
    context = opened.new_context()
    page = context.new_page()
    page.add_init_script(FIRST_LIST_OBSERVER)
    page.goto(address)
    drawn_ms, sizes = page.evaluate("window.firstList")
    context.close()
    return drawn_ms, sizes
