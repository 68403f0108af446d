"""The listening page in a real Chromium on this machine, nothing in its cache, over 50,000 tracks. `run(visits)`:

page_first_list      ms from the click on the address until the first list is drawn, median; must stay under 1,000
page_transfer        KB that the browser fetched for it, heads and all; must stay under 300
"""

from __future__ import annotations

import statistics

from playwright.sync_api import Request

from tests.benchmarks.benchmark import Result, limited
from tests.benchmarks.recommend import SMALL, served
from tests.line import browser

SEEN = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".song")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.firstList = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
WARM_UP = 3


def run(visits: int) -> list[Result]:
    """Each visit is another listener's first of the day, in a browser context of its own."""
    times, sizes = [], []
    with served(SMALL, "small") as service, browser.launched() as opened:
        for number in range(WARM_UP + visits):
            context = opened.new_context()
            page = context.new_page()
            page.add_init_script(SEEN)
            fetched: list[Request] = []
            page.on("requestfinished", fetched.append)
            page.goto(f"http://127.0.0.1:{service.port}/?user=u{number:06d}")
            page.wait_for_function("window.firstList !== undefined")
            page.wait_for_load_state("networkidle")
            times.append(float(page.evaluate("window.firstList")))
            sizes.append(sum(map(_bytes, fetched)) / 1000)
            context.close()
    return [
        limited("page_first_list", "ms", statistics.median(times[WARM_UP:]), 1000),
        limited("page_transfer", "KB", max(sizes), 300),
    ]


def _bytes(request: Request) -> int:
    size = request.sizes()
    sent, received = size["requestHeadersSize"] + size["requestBodySize"], size["responseHeadersSize"]
    return sent + received + size["responseBodySize"]
