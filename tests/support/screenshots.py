"""`python -m tests.support.screenshots [--into FOLDER] [--only NAME]`: takes a screenshot of each page of the running services.

This is `make screenshots`, after `make run`, or `make pipeline` and `make serve`. Only simulated listeners are shown: a home
with other landed logs is rejected. Screenshots are WebP files of the sizes in `SHOTS`.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import duckdb
from playwright.sync_api import Browser, Page, expect

from config import settings
from config.settings import Settings
from ingestion.simulate import WORLD_SIZES
from local import run, services
from local.airflow_api import AirflowClient
from local.wrappers import airflow_server
from tests.support import browser

FOLDER = settings.ROOT / "docs" / "images"
QUALITY = 82
STILL = "*, *::before, *::after { animation: none !important; transition: none !important; caret-color: transparent !important; }"
WIDE, PHONE = (1200, 860), (390, 844)


@dataclass(frozen=True)
class Shot:
    """One screenshot."""

    name: str
    address: str  # of the page, with the names of `_addresses`
    shown: str = "body"  # element that is visible when the content is loaded
    act: Callable[[Page, Settings], None] | None = None  # what is done on the page then
    size: tuple[int, int] = WIDE  # width and height in pixels
    scheme: str = "light"
    locale: str = "en-GB"


def radio(page: Page, here: Settings) -> None:
    """The radio after a skip that changed what plays next."""
    page.get_by_role("button", name="Start the radio").click()
    with page.expect_response("**/recommend"):
        page.get_by_role("region", name="Now playing").get_by_role("button", name="Next").click()
    expect(page.locator(".changed")).not_to_be_empty()
    expect(page.locator(".queue li").first).to_be_visible()


def why(page: Page, here: Settings) -> None:
    """Why a track is recommended."""
    page.locator(".song .start").first.click()
    page.locator(".song .menu-of button").first.click()
    page.get_by_role("menuitem", name="Why this?").click()
    expect(page.locator(".why .reasons, .why summary").first).to_be_visible()


def player(page: Page, here: Settings) -> None:
    """The full view of the player."""
    page.locator(".song .start").nth(1).click()
    page.get_by_role("button", name="Full view").click()
    expect(page.get_by_role("dialog", name="Now playing")).to_be_visible()


def search(page: Page, here: Settings) -> None:
    """Tracks found by their mood."""
    page.get_by_role("searchbox").fill("something calm for the night")
    expect(page.locator(".song").first).to_be_visible()


def newcomer(page: Page, here: Settings) -> None:
    """A new listener selects three tracks."""
    for place in range(3):
        page.locator(".picks button").nth(place).click()
    expect(page.locator(".listener .tile-sub").first).not_to_be_empty()


def developer(page: Page, here: Settings) -> None:
    """Events and interests of a listener."""
    page.evaluate("localStorage.setItem('segue-developer', 'yes')")
    page.reload()
    page.get_by_role("button", name="For developers").click()
    expect(page.locator(".sequence li").first).to_be_visible()


def operator(page: Page, here: Settings) -> None:
    """First page of the console, with live values."""
    expect(page.locator("[data-value=requests_per_s] .value")).to_contain_text("/s")


def lineage(page: Page, here: Settings) -> None:
    """Lineage of the release in service."""
    page.locator("td a").first.click()
    expect(page.locator(".steps li").first).to_be_visible()


def airflow(page: Page, here: Settings) -> None:
    """Graph of the DAG train_models in Airflow."""
    _log_in(page, here)
    page.goto("{airflow}/dags/train_models".format(**_addresses(here)))
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    expect(page.locator(".react-flow__node").first).to_be_visible()
    page.get_by_role("button", name="Fit View").click()
    expect(page.locator(".react-flow__node").first).to_be_visible()


def failed_run(page: Page, here: Settings) -> None:
    """Log of a failed task in Airflow, which ends with the reason and the remedy."""
    with AirflowClient(here) as client:
        started = client.trigger("set_release", {"action": "activate", "release": "unknown"})
        while client.state("set_release", started) not in ("success", "failed"):
            time.sleep(1)
    _log_in(page, here)
    run_address = f"dags/set_release/runs/{quote(started)}/tasks/set_release"
    page.goto(f"{_addresses(here)['airflow']}/{run_address}")
    remedy = page.get_by_text("What to do").first
    expect(remedy).to_be_visible()
    remedy.evaluate("(line) => line.scrollIntoView({ block: 'end' })")  # below it are addresses of Airflow's own code


LISTENING = "{recommender}/?user={user}#/"
RADIO, LOGIN = LISTENING + "radio", "{airflow}/auth/login"
REPORTS = "{console}/reports/"
SHOTS = (
    Shot("listening", LISTENING, "#playlists"),
    Shot("listening-radio", RADIO, "main h1", radio),
    Shot("listening-why", LISTENING, "#playlists", why),
    Shot("listening-playlists", LISTENING + "playlists", ".tile"),
    Shot("listening-search", LISTENING + "search", "main h1", search, scheme="dark"),
    Shot("listening-taste", LISTENING + "taste", ".interest"),
    Shot("listening-new", "{recommender}", ".picks button", newcomer),
    Shot("listening-developer", LISTENING, "#playlists", developer),
    Shot("listening-phone", LISTENING, "#playlists", size=PHONE),
    Shot("listening-phone-player", LISTENING, "#playlists", player, PHONE),
    Shot("listening-phone-radio", RADIO, "main h1", radio, PHONE, scheme="dark"),
    Shot("listening-dark", LISTENING, "#playlists", scheme="dark"),
    Shot("listening-chinese", LISTENING, "#playlists", locale="zh-CN"),
    Shot("operator", "{console}", "#verdict", operator, (1200, 500)),
    Shot("operator-lineage", "{console}/releases", "td a", lineage, (1200, 700)),
    Shot("evaluation", REPORTS + "evaluation.html"),
    Shot("data-docs", REPORTS + "data_docs/marts/outcome.html"),
    Shot("data-quality", "{console}/quality/events", ".chart canvas"),
    Shot("airflow", LOGIN, act=airflow, size=(1200, 480)),
    Shot("airflow-failed", LOGIN, act=failed_run, size=(1200, 600)),
    Shot("api", "{recommender}/docs", ".opblock"),
)


def take(shot: Shot, here: Settings, folder: Path, chromium: Browser) -> Path:
    """Take a screenshot and store it in `folder`."""
    width, height = shot.size
    with chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme=shot.scheme,
        locale=shot.locale,
        timezone_id="UTC",
        bypass_csp=True,
    ) as context:
        page = context.new_page()
        page.set_default_timeout(browser.PATIENCE_MS)
        expect.set_options(timeout=browser.PATIENCE_MS)
        page.goto(shot.address.format(**_addresses(here)))
        expect(page.locator(shot.shown).first).to_be_visible()
        if shot.act:
            shot.act(page, here)
        page.add_style_tag(content=STILL)
        page.wait_for_load_state("networkidle")
        page.evaluate("Promise.all([...document.images].map((image) => image.decode().catch(() => null)))")
        screenshot = context.new_cdp_session(page).send(
            "Page.captureScreenshot", {"format": "webp", "quality": QUALITY}
        )
    file = folder / f"{shot.name}.webp"
    file.write_bytes(base64.b64decode(screenshot["data"]))
    return file


def has_chinese_font() -> bool:
    """True if a font with Chinese characters is installed."""
    lister = shutil.which("fc-list")
    return lister is not None and bool(subprocess.run([lister, ":lang=zh"], capture_output=True, check=False).stdout)


def check(here: Settings) -> None:
    """Check that all services run and that only simulated logs are landed.

    Raises:
        SystemExit: A service or a font is missing, or other logs are landed.
    """
    if not has_chinese_font():
        raise SystemExit(
            "no installed font has Chinese characters; install one, for example Debian's package fonts-wqy-microhei"
        )
    down = [service.name for service in services.SERVICES if not service.is_ready(here)]
    if down:
        raise SystemExit(
            f"{', '.join(down)} not running in {here.home}: first `make run`, or `make pipeline` and `make serve`"
        )
    files = [str(file) for file in (here.landing / "landings").glob("dt=*/*.parquet")]
    query = "select distinct source from read_parquet(?) where split is not null"
    others = {source for (source,) in duckdb.execute(query, [files]).fetchall()} - set(WORLD_SIZES)
    if others:
        raise SystemExit(
            f"{here.home} has {', '.join(sorted(others))}: screenshots show simulated listeners only, use another SEGUE_HOME"
        )


def main() -> None:
    """Take all screenshots, or one."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.screenshots", description="Screenshots of every page"
    )
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder (default: docs/images)")
    parser.add_argument("--only", choices=[shot.name for shot in SHOTS], default=None)
    options = parser.parse_args()
    here = settings.load_settings()
    check(here)
    options.into.mkdir(parents=True, exist_ok=True)
    with browser.launch() as chromium:
        for shot in SHOTS:
            if options.only in (None, shot.name):
                file = take(shot, here, options.into, chromium)
                print(f"{file.name:<28} {file.stat().st_size / 1000:6,.0f} KB", flush=True)


def _log_in(page: Page, here: Settings) -> None:
    page.locator("input[name=username]").fill(airflow_server.USER)
    page.locator("input[name=password]").fill(airflow_server.load_or_create_password(here))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/login" not in url)


def _addresses(here: Settings) -> dict[str, str]:
    """Addresses of the services, and a listener with recent plays."""
    ports = {"recommender": here.recommender_port, "console": here.console_port, "airflow": here.airflow_port}
    return {name: f"http://{here.host}:{port}" for name, port in ports.items()} | {"user": run.find_recent_user(here)}


if __name__ == "__main__":
    main()
