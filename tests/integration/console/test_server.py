"""Console: health, lineage of releases, reports, private files, actions, accessibility."""

import re
import socket

import httpx
import pytest
from markupsafe import escape
from playwright.sync_api import expect

from console.actions import read_actions
from tests.support import browser, console_home
from tests.support.training.evaluation_content import evaluation
from training.evaluation.report.page import render_page
from web.basic_authentication import GUESSES

PASSWORD = "p" * 20
AUTH = ("segue", PASSWORD)


@pytest.fixture(scope="module", autouse=True)
def shared_browser():
    with browser.shared():
        yield


@pytest.fixture
def here(here):
    console_home.write_reports(here)
    return here


@pytest.fixture
def console(here):
    with console_home.serve_console(here) as url:
        yield url


@pytest.fixture
def guarded(here):
    """A console with a password."""
    with console_home.serve_console(here, PASSWORD) as url:
        yield url


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "localhost.evil.example", ""])
def test_a_loopback_console_does_not_answer_to_other_names(here, console, host):
    assert httpx.get(console, headers={"Host": host}).status_code == 403
    assert httpx.get(f"{console}/reports/evaluation.html", headers={"Host": host}).status_code == 403
    assert httpx.get(console, headers={"Host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/quality", "/releases", "/actions/roll_back", "/nowhere", "/favicon.ico"),
        *("/reports/evaluation.html", "/static/charts.js", "/state"),
    ],
)
def test_a_console_with_a_password_answers_the_operator_only(guarded, path):
    denied = httpx.get(guarded + path)
    assert denied.status_code == 401 and denied.headers["www-authenticate"].startswith("Basic ")
    assert httpx.get(guarded + path, auth=("segue", "wrong")).status_code == 401
    assert httpx.head(guarded + path).status_code == 401
    status = {"/nowhere": 404, "/favicon.ico": 204}.get(path, 200)
    assert httpx.get(guarded + path, auth=AUTH).status_code == status
    assert httpx.get(f"{guarded}/livez").status_code == 200


def test_guesses_of_the_password_are_limited(guarded):
    guesses = [httpx.get(guarded, auth=("segue", f"guess {number}")).status_code for number in range(GUESSES + 1)]
    assert guesses == [401] * GUESSES + [429]
    assert httpx.post(f"{guarded}/actions/roll_back", auth=AUTH).status_code == 429


@pytest.mark.parametrize("path", ["/", "/releases", "/reports/evaluation.html", "/nowhere", "/state"])
def test_pages_run_scripts_of_the_console_only(console, path):
    policy = {part.strip() for part in httpx.get(console + path).headers["content-security-policy"].split(";")}
    assert policy >= {
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    }


def test_dbts_page_runs_its_scripts_in_a_sandbox(here):
    page_file = here.home / "dbt" / "target" / "static_index.html"
    page_file.parent.mkdir(parents=True)
    page_file.write_text("<p>before</p><script>document.querySelector('p').textContent = self.origin</script>")
    with console_home.serve_console(here) as url, browser.open_page() as page:
        page.goto(f"{url}/dbt/target/static_index.html")
        assert page.text_content("p") == "null"


def test_every_link_of_every_page_works(console):
    seen, pending = set(), {"/"}
    while pending:
        path = pending.pop()
        seen.add(path)
        response = httpx.get(console + path)
        assert response.status_code == 200, path
        pending |= {link.partition("#")[0] for link in re.findall(r'href="(/[^"]*)"', response.text)} - seen
    assert {"/quality", "/quality/events", "/releases", "/releases/first", "/releases/second"} <= seen
    assert {"/reports/evaluation.html", "/reports/skew.json"} <= seen


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"as_of": 1}'])
def test_a_malformed_report_does_not_break_other_pages(here, console, broken):
    for name in ("evaluation", "experiment", "data_quality"):
        (here.reports / f"{name}.json").write_text(broken)
    assert [httpx.get(console + path).status_code for path in ("/", "/releases", "/quality")] == [200] * 3


def test_a_page_that_cannot_be_made_is_answered_with_the_reason(here, console):
    (here.releases / "active.json").write_text('{"release": "second"}')
    for path in ("/", "/state"):
        answer = httpx.get(console + path)
        assert answer.status_code == 500 and "KeyError: 'activated_at'" in answer.text
    assert httpx.head(console).status_code == 500
    assert httpx.get(f"{console}/reports/evaluation.html").text == "the report"


@pytest.mark.parametrize(
    "path",
    [
        *("/airflow/passwords.json", "/reports/../airflow/passwords.json", "/reports%2f..%2fairflow"),
        *("/static/../../airflow/passwords.json", "/releases/..", "/releases/second/manifest.json"),
        *("/reports/%00", "/reports/evaluation.html%00", "/static/..%2fserver.py"),
    ],
)
def test_files_that_are_not_reports_are_private(console, path):
    with socket.create_connection(console.removeprefix("http://").split(":")) as raw:  # httpx would normalize the path
        raw.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert b"404" in raw.recv(1000).splitlines()[0]


def test_services_are_linked_with_the_host_of_the_request(here, console):
    assert f"http://localhost:{here.airflow_port}" in httpx.get(console, headers={"Host": "localhost:8090"}).text
    with console_home.serve_console(here.model_copy(update={"host": "0.0.0.0"})) as url:  # as in a container
        index = httpx.get(url, headers={"Host": 'segue.example"><script>:8090'}).text
    assert str(escape(f'http://segue.example"><script>:{here.airflow_port}')) in index
    assert "<script>" not in index


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_on_a_phone(console, scheme):
    with browser.open_page(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
        blocked = []
        page.on("console", lambda message: blocked.append(message.text) if "Content Security" in message.text else None)
        for path in (
            *("/", "/releases", "/releases/second?other=first", "/quality", "/quality/events"),
            "/actions/roll_back",
            "/reports/evaluation.html",  # a report without an icon, which the browser requests
        ):
            page.goto(console + path)
            assert path.endswith("html") or browser.accessibility_violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
            assert blocked == [], path


def test_only_the_first_page_rolls_back_and_it_is_red_if_a_service_does_not_answer(console):
    with browser.open_page() as page:
        page.goto(console)
        expect(page.locator("#verdict.bad")).to_contain_text(re.compile("recommender.* not answer"))
        for path in ("/releases", "/releases/first", "/quality"):
            page.goto(console + path)
            expect(page.get_by_text("Roll back")).to_have_count(0)


def test_the_report_is_short_and_a_link_to_a_folded_part_opens_it(here, console):
    (here.reports / "evaluation.html").write_text(render_page(evaluation()))
    with browser.open_page(viewport={"width": 390, "height": 800}) as page:
        page.goto(f"{console}/reports/evaluation.html")
        expect(page.locator(".sentences li").first).to_contain_text("Not decided yet: ")
        assert page.locator(".sentences li").count() == 5 and page.locator("details.part[open]").count() == 0
        assert page.evaluate("document.documentElement.scrollHeight") < 2500
        page.goto(f"{console}/reports/evaluation.html#ranking")
        assert page.locator("#ranking").is_visible() and not page.locator("#recall").is_visible()
        assert browser.accessibility_violations(page) == []


@pytest.mark.parametrize(
    ("headers", "content", "password", "status"),
    [
        ({}, b"", PASSWORD, 403),  # without Origin
        ({"Origin": "https://evil.example"}, b"", PASSWORD, 403),
        ({"Origin": "same"}, b"", "", 403),  # no password is set
        ({"Origin": "same"}, b"x" * 2000, PASSWORD, 413),
        ({"Origin": "same"}, b"active=other", PASSWORD, 400),
    ],
)
def test_actions_need_a_password_and_the_console_as_origin(here, headers, content, password, status):
    with console_home.serve_console(here, password) as url:
        headers = {name: url if value == "same" else value for name, value in headers.items()}
        response = httpx.post(f"{url}/actions/roll_back", headers=headers, content=content, auth=("segue", password))
    assert response.status_code == status
    assert read_actions(here) == []


def test_an_operator_confirms_the_rollback_and_it_is_logged(here, guarded):
    with browser.open_page(http_credentials={"username": "segue", "password": PASSWORD}) as page:
        page.goto(guarded)
        page.get_by_role("link", name="Roll back to first").click()
        assert page.locator("input[name=active]").get_attribute("value") == "second"
        assert read_actions(here) == [], "it needs the confirmation"
        page.get_by_role("button", name="Roll back to first").click()
        page.get_by_text("Nothing was changed.").wait_for()
    rolled_back, _ = read_actions(here)
    assert (rolled_back["arguments"], rolled_back["code"], rolled_back["client"]) == (["rollback"], 2, "127.0.0.1")


def test_an_action_that_cannot_be_recorded_is_not_run(here, guarded):
    here.logs.parent.mkdir(parents=True, exist_ok=True)
    here.logs.write_text("a file instead of the folder")
    response = httpx.post(f"{guarded}/actions/roll_back", headers={"Origin": guarded}, content=b"", auth=AUTH)
    assert response.status_code == 500
    assert "use the DAG set_release instead" in response.text
