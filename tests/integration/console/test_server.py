"""The reading room shows every report and where a release comes from, says what is missing, and keeps the rest private."""

import html
import re
import socket

import httpx
import pytest

from config import settings
from console.reports import REPORTS
from local import airflow_server
from tests.support import browser, console_home
from tests.support.console_home import LANDED, MANIFEST


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return settings.load_settings()


@pytest.fixture
def pages(here):
    console_home.write_reports(here)
    airflow_server.load_or_create_password(here)
    with console_home.opened(here) as url:
        yield url


def test_the_index_links_what_exists_and_says_what_makes_the_rest(here, pages):
    index = httpx.get(pages).text
    assert '<a href="/reports/evaluation.html">Evaluation</a>' in index
    assert "recall@30 of the slate 0.310 [0.290, 0.330], most_played 0.300" in index
    assert "1 of 1,000 values differ (0.100%)" in index
    assert "3 figures; 1 of 2 reach their peer or limit" in index
    assert "action drift 0.031" in index
    assert ">dbt docs</a>" not in index
    assert re.search(r"<h3>dbt docs</h3>.*?not made yet: <code>make run</code>", index)
    assert httpx.get(f"{pages}/reports/evaluation.html").text == "the report"


def test_a_new_home_says_what_to_do(here):
    with console_home.opened(here) as url:
        index = httpx.get(url).text
    assert index.count("not made yet: <code>make ") == len(REPORTS) + 1  # the studies
    assert "No release yet: <code>make run</code>" in index


def test_every_link_of_every_page_leads_somewhere(pages):
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        answer = httpx.get(pages + path)
        assert answer.status_code == 200, path
        seen.add(path)
        links = {link.partition("#")[0] for link in re.findall(r'href="(/[^"]*)"', answer.text)}
        waiting += links - seen - set(waiting)
    assert {
        "/read/benchmark",
        "/read/skew",
        "/read/study_ranking_history",
        "/releases/second",
        "/releases/first",
    } <= seen


def test_a_release_says_where_it_comes_from_with_what_it_holds(pages):
    text = httpx.get(f"{pages}/releases/second").text
    assert re.findall(r"<h3>(\w+)</h3>", text) == ["Logs", "Marts", "Features", "Models", "Release"]
    assert "my &lt;logs&gt;.zip" in text
    assert "2026-06-09 08:15 UTC, 900 rows" in text
    whole = [LANDED["landing_id"], MANIFEST["inputs"], *MANIFEST["marts"].values(), MANIFEST["vocabulary"]]
    whole += [*MANIFEST["models"]["final"].values(), *MANIFEST["models"]["held_out"].values(), MANIFEST["revision"]]
    whole.append(MANIFEST["lineage"]["feature_definitions"])
    assert [one for one in whole if f'title="{one}"' not in text] == []
    assert '<a href="/releases/first">first</a>' in text
    assert "0.3100 &lt;b&gt;" in text
    assert '<a href="/reports/evaluation.html">' in text
    assert "in service since 2026-06-10" in text


def test_what_a_release_does_not_hold_is_not_made_up(here, pages):
    text = httpx.get(f"{pages}/releases/first").text
    assert "This release does not say" in text
    assert "The evaluation report is of other models." in text
    assert LANDED["landing_id"] not in text
    console_home.land(here, "forgotten")
    assert "my &lt;logs&gt;.zip" not in httpx.get(f"{pages}/releases/second").text


def test_releases_are_told_by_what_they_do_and_half_ones_are_none(here, pages):
    index = httpx.get(pages).text
    listed = index.partition("All releases")[2]
    assert listed.index("/releases/second") < listed.index("/releases/first")
    assert "replaced 2026-06-10 03:01 UTC" in listed
    assert "half" not in re.findall(r'href="/releases/([^"]+)"', index)
    assert httpx.get(f"{pages}/releases/half").status_code == 404
    beside = [{"release": "first", "path": "", "share": 0.1}]
    shares = {"experiment": "first", "beside": beside, "since": "2026-06-11T00:00:00+00:00"}
    console_home.write(here.releases / "shares.json", shares)
    assert "beside it for 10% of the users" in httpx.get(pages).text


def test_json_and_markdown_are_read_as_pages(pages):
    benchmark = httpx.get(f"{pages}/read/benchmark").text
    assert '<span class="good">34.00</span>' in benchmark and '<span class="bad">0.89</span>' in benchmark
    assert "recent_events.scene" in httpx.get(f"{pages}/read/skew").text
    study = httpx.get(f"{pages}/read/study_ranking_history").text
    assert "<p>Does &lt;more&gt; help?</p>" in study
    assert "<code>L20</code>" in study and "0.7 [0.6, 0.8]" in study


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"as_of": 1}'])
def test_a_broken_report_breaks_nothing_else(here, pages, broken):
    for name in ("evaluation", "skew", "benchmark", "experiment"):
        (here.reports / f"{name}.json").write_text(broken)
    (here.reports / "data_docs" / "landed" / "outcome.json").write_text(broken)
    assert httpx.get(pages).status_code == 200
    assert httpx.get(f"{pages}/read/skew").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/airflow/passwords.json", "/reports/../airflow/passwords.json", "/reports%2f..%2fairflow"),
        *("/read/../airflow/passwords", "/read/evaluation", "/releases/..", "/releases/second/manifest.json"),
    ],
)
def test_what_is_not_a_report_stays_private(pages, path):
    with socket.create_connection(pages.removeprefix("http://").split(":")) as raw:  # httpx would tidy the path up
        raw.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert b"404" in raw.recv(1000).splitlines()[0]


def test_services_are_linked_where_the_reader_reached_us(here, pages):
    index = httpx.get(pages, headers={"Host": 'segue.example"><script>:8090'}).text
    assert html.escape(f'http://segue.example"><script>:{here.airflow_port}') in index
    assert "<script>" not in index


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_read_it_on_a_phone(pages, scheme):
    with browser.opened(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
        for path in (
            *("/", "/data", "/releases/second", "/read/benchmark", "/read/skew", "/read/study_ranking_history"),
            "/reports/evaluation.html",  # a report without an icon, for which a browser asks
        ):
            page.goto(pages + path)
            assert path.endswith("html") or browser.serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path


def test_a_manifest_of_the_line_has_what_the_page_reads():
    folder = settings.ROOT / "training" / "release"
    source = (folder / "manifest.py").read_text() + (folder / "lineage.py").read_text()
    assert [key for key in [*MANIFEST, *MANIFEST["lineage"]] if f'"{key}"' not in source] == []
