"""The whole line once, for real: Airflow, the recommender, MLflow and the pages on free ports, with no way out of the machine."""

import json
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from config import settings
from local import recommendations, services
from local.ports import free_port
from tests.e2e import listening_page
from tests.support import browser, documented_commands, screenshots

pytestmark = [pytest.mark.line, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
BLOCK_ID = uuid.uuid4().hex
PORTS = ("SEGUE_AIRFLOW_PORT", "SEGUE_RECOMMENDER_PORT", "SEGUE_MLFLOW_PORT", "SEGUE_PAGES_PORT")


class Line:
    """An installation of its own in a temporary home."""

    def __init__(self, home):
        self.refused = home / "refused.txt"
        hook = Path(__file__).parent / "loopback_only"
        path = os.pathsep.join(filter(None, [str(hook), str(ROOT), os.environ.get("PYTHONPATH")]))
        variables = {"SEGUE_HOME": str(home), "PYTHONPATH": path, "SEGUE_REFUSED": str(self.refused)}
        variables |= {name: str(free_port()) for name in PORTS}
        self.environment = {**os.environ, **variables}

    def run(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def command(self, words, folder=ROOT):
        """What a command of the documentation prints, run on these services."""
        return documented_commands.executed(words, self.environment, self.environment["SEGUE_RECOMMENDER_PORT"], folder)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("home"))
    try:
        yield line
    finally:
        line.command("make stop")


@pytest.fixture(scope="module")
def first_run(line):
    return line.command("make run RECIPE=debug")


@pytest.fixture
def here(line, first_run, monkeypatch):
    for name in ("SEGUE_HOME", *PORTS):
        monkeypatch.setenv(name, line.environment[name])
    return settings.load_settings()


def url_of(here):
    return f"http://{here.host}:{here.recommender_port}"


def test_it_ends_with_an_answer_and_addresses(first_run, here):
    assert "simulated listeners" in first_run or "simulated listening world" in first_run
    assert "For listener" in first_run
    assert f"http://{here.host}:{here.airflow_port}" in first_run
    assert "release_ready" in first_run
    assert all(service.is_ready(here) for service in services.SERVICES)


def test_a_block_shows_in_the_very_next_answer(here):
    url = url_of(here)
    user_id = recommendations.find_recent_user(here)
    before = [item["track_id"] for item in recommendations.recommend(here, user_id, limit=10)["items"]]
    now = datetime.now(UTC).isoformat()
    event = {
        "event_id": BLOCK_ID,
        "user_id": user_id,
        "sequence_number": 10**9,
        "target_type": "track",
        "target_id": before[0],
        "occurred_at": now,
        "ended_at": now,
        "action": "block",
    }
    for expected in ({"accepted": 1, "duplicate": 0}, {"accepted": 0, "duplicate": 1}):
        told = httpx.post(f"{url}/events", json={"events": [event]}, timeout=30).json()
        assert {key: told[key] for key in expected} == expected, told
    after = [item["track_id"] for item in recommendations.recommend(here, user_id, limit=10)["items"]]
    assert before[0] not in after


@pytest.mark.parametrize("words", documented_commands.QUICK)
def test_a_command_of_the_documentation_does_what_is_said(line, here, words):
    said = line.command(words)
    if words.startswith("curl"):
        told = json.loads(said)
        assert told.get("items") or told.get("accepted") == 1, told
        assert ("trace" in told) == ("debug" in words)
    elif words == "make serve":
        assert said.count("was running") == len(services.SERVICES)
    else:
        assert recommendations.recommend(here, recommendations.find_recent_user(here))["release"] in said


def test_make_clean_removes_what_was_written_and_nothing_else(line, tmp_path):
    home = tmp_path / "home"
    for name in ("landing/x.parquet", "marts/y.parquet", "mine.txt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    line.environment["SEGUE_HOME"], kept = str(home), line.environment["SEGUE_HOME"]
    try:
        line.command("make clean", folder=tmp_path)
    finally:
        line.environment["SEGUE_HOME"] = kept
    assert [file.name for file in home.iterdir()] == ["mine.txt"]


def test_a_listener_listens_and_the_list_follows(here):
    listening_page.listens_and_the_list_follows(url_of(here), recommendations.find_recent_user(here))


def test_what_holds_songs_opens_and_they_play_one_after_another(here):
    listening_page.opens_what_holds_songs_and_they_play_one_after_another(
        url_of(here), recommendations.find_recent_user(here)
    )


def test_every_act_is_an_event(here):
    listening_page.every_act_is_an_event(url_of(here), recommendations.find_recent_user(here))


def test_the_page_is_used_by_keyboard_alone(here):
    listening_page.is_used_by_keyboard_alone(url_of(here), recommendations.find_recent_user(here))


def test_a_song_with_an_address_is_heard(here):
    listening_page.hears_what_has_an_address(url_of(here), recommendations.find_recent_user(here))


def test_somebody_new_begins_with_three_songs(here):
    listening_page.begins_with_three_songs(url_of(here))


def test_the_page_is_small_and_open_to_everybody(here):
    listening_page.may_be_used_by_everybody(url_of(here), recommendations.find_recent_user(here))


def test_a_picture_of_every_page_can_be_taken(line, here, tmp_path):
    if browser.program() is None or not screenshots.has_chinese_font():
        pytest.skip("no Chromium or no Chinese font here; install Debian's packages chromium and fonts-wqy-microhei")
    line.python("tests.support.screenshots", "--into", str(tmp_path))
    assert {file.stem for file in tmp_path.iterdir()} == {shot.name for shot in screenshots.SHOTS}


def test_the_reading_room_has_the_line_and_where_its_release_comes_from(here):
    reading_room = f"http://{here.host}:{here.pages_port}"
    index = httpx.get(reading_room).text
    assert set(re.findall(r"not made yet: <code>(make \w+)", index)) == {"make bench", "make run", "make study"}
    assert re.findall(r"<h3>([^<]+)</h3><p>[^<]+</p><p><small>not made yet", index) == [
        "Experiment",
        "Benchmark",
        "Studies",
    ]
    release = recommendations.recommend(here, recommendations.find_recent_user(here))["release"]
    lineage = httpx.get(f"{reading_room}/releases/{release}").text
    assert "does not say" not in lineage and "not said" not in lineage
    assert "<dt>source</dt><dd>debug</dd>" in lineage
    with browser.opened(viewport={"width": 390, "height": 800}) as page:
        for path in ("/", "/data", f"/releases/{release}", "/reports/data_docs/marts/outcome.html"):
            page.goto(reading_room + path)
            assert browser.serious(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path


def test_a_second_run_reuses_what_is_there_and_the_event_came_round(line, here):
    pids = {service.name: services.find_running_process(service, here).pid for service in services.SERVICES}
    # The block was made today, so the same day is asked for again: nothing else is new before it.
    as_of = next(here.training.glob("*-debug")).name.removesuffix("-debug")
    second = line.command(f"make run RECIPE=debug AS_OF={as_of}")
    assert second.count("was running") == len(services.SERVICES)
    assert {service.name: services.find_running_process(service, here).pid for service in services.SERVICES} == pids
    logs = "\n".join(file.read_text() for file in here.airflow.glob("logs/dag_id=*/run_id=*/**/*.log"))
    assert "unchanged" in logs
    landed = pl.read_parquet(here.landing / "listening_events" / "dt=*" / "*.parquet", hive_partitioning=False)
    blocks = landed.filter(pl.col("action") == "block", pl.col("event_id") == BLOCK_ID)
    assert blocks.height == 1


def test_what_may_not_pass_stops_the_line_by_name_and_the_release_goes_on_serving(line, here):
    user_id = recommendations.find_recent_user(here)
    release = recommendations.recommend(here, user_id)["release"]
    # Asked for a day weeks after the newest event, landed events are stale.
    stale = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    done = line.run("local.run", "--recipe", "debug", "--as-of", stale)
    assert done.returncode == 1
    assert "task validate_landed failed" in done.stderr
    assert "failed: expect_column_values_to_be_between(table_hours_before_as_of)" in done.stderr
    assert "What to do: each failed expectation stands in the log" in done.stderr
    assert "build_marts" not in done.stdout
    assert recommendations.recommend(here, user_id)["release"] == release


def test_nothing_tried_to_leave_the_machine(line, here):
    assert not line.refused.exists(), line.refused.read_text()
