"""The whole pipeline once: Airflow, recommender, MLflow and console on free ports, without network access beyond the machine.

It runs in a copy of the tree that has each documented extension (docs/contributing.md), so that the same run shows that they reach
the evaluation report and the service without further changes.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest

from config import settings
from console.page_parts import REPORTS
from local import land, process, run, services
from tests.e2e import extended_tree, listening_evening, listening_page
from tests.support import browser, documented_commands, screenshots
from tests.support.ports import PORTS, free_port
from tests.support.tiers import acceptance_only

pytestmark = [pytest.mark.timeout(1200)]
BLOCK_ID = uuid.uuid4().hex


class Home:
    """Installation of the extended tree in a temporary home, with connections limited to loopback."""

    def __init__(self, folder):
        home, self.tree = folder / "home", folder / "tree"
        extended_tree.copy_tree(self.tree)
        # Loading the settings limits the access to new files, as in every program.
        here = settings.load_settings().model_copy(update={"home": home})
        extended_tree.write_log(land.simulate_world(here, "debug") / "plays.pipe")
        self.refused_connections = folder / "refused.txt"
        hook = Path(__file__).parent / "loopback_only"
        path = os.pathsep.join(filter(None, [str(hook), str(self.tree), os.environ.get("PYTHONPATH")]))
        variables = {"SEGUE_HOME": str(home), "PYTHONPATH": path, "SEGUE_REFUSED": str(self.refused_connections)}
        variables |= {name: str(free_port()) for name in PORTS}
        self.environment = {**os.environ, **variables}

    def command(self, words, folder=None):
        """Output of a documented command, run on the services of this home."""
        return documented_commands.run_command(
            words, self.environment, self.environment["SEGUE_RECOMMENDER_PORT"], folder or self.tree
        )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("extended"))
    try:
        with browser.shared():
            yield home
    finally:
        home.command("make stop")


@pytest.fixture(scope="module")
def first_run(home):
    return home.command("make run RECIPE=debug")


@pytest.fixture
def here(home, first_run, monkeypatch):
    for name in ("SEGUE_HOME", *PORTS):
        monkeypatch.setenv(name, home.environment[name])
    return settings.load_settings()


def url_of(here):
    return f"http://{here.host}:{here.recommender_port}"


def test_the_run_ends_with_a_recommendation_and_addresses(first_run, here):
    assert "simulated listeners" in first_run or "simulated listening world" in first_run
    assert "For listener" in first_run
    assert f"http://{here.host}:{here.airflow_port}" in first_run
    assert "release_ready" in first_run
    assert all(service.is_ready(here) for service in services.SERVICES)


def test_extensions_are_in_the_report_and_the_release(here):
    evaluation = json.loads((here.reports / "evaluation.json").read_text())
    (release,) = (file.parent for file in (here.home / "bentoml").rglob("manifest.json"))
    manifest = json.loads((release / "manifest.json").read_text())
    assert "code_order" in evaluation["recall"] and "code_order" in manifest["channels"]
    assert "plain_sum" in evaluation["ranking"] and manifest["ranker"] == "plain_sum"
    (ranker,) = (file.read_text() for file in release.rglob("ranker.json"))
    assert "user_profile__sessions_total" in ranker and "balance_total" in ranker
    assert "pipe_plays" in {row["format"] for row in manifest["lineage"]["logs"]}
    assert "sessions_total" in (here.reports / "data_docs" / "marts" / "outcome.json").read_text()


def test_the_added_channel_and_scene_answer_requests(here):
    request = {"user_id": run.find_recent_user(here), "scene": "workout", "debug": True}
    answer = httpx.post(f"{url_of(here)}/recommend", json=request, timeout=60).json()
    assert answer["trace"]["candidates"]["code_order"] > 0
    assert len(answer["items"]) == 4


@pytest.mark.parametrize(("language", "text"), [("en", "number 1 of your tracks"), ("zh", "你的第 1 首歌")])
def test_the_added_text_is_shown_in_each_language(home, language, text):
    program = (
        "from serving.messages import render_reason; from recommender.recall.reason import Reason;"
        f"print(render_reason(Reason('in_code_order', {{'position': 1}}), {language!r}))"
    )
    assert home.command(f'python -c "{program}"').strip() == text


def test_every_process_listens_on_loopback_only(here):
    listening = []
    for member in process.members(str(here.home)):
        with contextlib.suppress(psutil.NoSuchProcess):  # short-lived children of Airflow end meanwhile
            command = " ".join(member.cmdline())
            listening += [
                (command, connection.laddr)
                for connection in member.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
    assert {here.airflow_port, here.recommender_port, here.mlflow_port, here.console_port} <= {
        address.port for _, address in listening
    }
    assert [(command, address) for command, address in listening if not settings.is_loopback(address.ip)] == []


def test_nothing_in_the_home_is_accessible_for_other_users(here):
    paths = [path for path in here.home.rglob("*") if not path.is_symlink()]
    assert len(paths) > 500
    assert [
        f"{path.stat().st_mode:o} {path.relative_to(here.home)}" for path in paths if path.stat().st_mode & 0o027
    ] == []
    assert here.airflow_passwords.stat().st_mode & 0o077 == 0


def test_a_block_affects_the_next_response(here):
    url = url_of(here)
    user_id = run.find_recent_user(here)
    before = [item["track_id"] for item in run.recommend(here, user_id, limit=10)["items"]]
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
        response = httpx.post(f"{url}/events", json={"events": [event]}, timeout=30).json()
        assert {key: response[key] for key in expected} == expected, response
    assert before[0] not in [item["track_id"] for item in run.recommend(here, user_id, limit=10)["items"]]


@pytest.mark.parametrize("words", documented_commands.QUICK)
def test_documented_commands_work(home, here, words):
    output = home.command(words)
    if words.startswith("curl"):
        response = json.loads(output)
        assert response.get("items") or response.get("accepted") == 1, response
        assert ("trace" in response) == ("debug" in words)
    elif words == "make serve":
        assert output.count("was running") == len(services.SERVICES)
    else:
        assert run.recommend(here, run.find_recent_user(here))["release"] in output


@pytest.mark.parametrize(
    "check",
    [
        listening_page.check_playlists_open_and_play,
        listening_page.check_phone,
        listening_page.check_home_repeats_nothing,
        listening_page.check_reasons_vary,
        listening_page.check_traces,
        listening_page.check_keyboard,
        listening_page.check_accessibility,
    ],
)
def test_the_page_of_a_listener(here, check):
    check(url_of(here), run.find_recent_user(here))


def test_an_evening_of_a_new_listener(here):
    listening_evening.check_evening(url_of(here))


def test_the_notebook_trains_a_channel_and_calls_the_service(home, here, tmp_path):
    cells = json.loads((home.tree / "docs" / "train_a_channel.ipynb").read_text())["cells"]
    program = tmp_path / "notebook.py"
    program.write_text("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    output = home.command(f"python -m local.environment python {program}")
    assert "realtime    recall@200 of all" in output
    assert "like: 1 accepted" in output and "without the album" in output


@acceptance_only
def test_a_screenshot_of_every_page_can_be_taken(home, here, tmp_path):
    if browser.find_chromium() is None or not screenshots.has_chinese_font():
        pytest.skip("Chromium or a Chinese font is missing; install Debian's packages chromium and fonts-wqy-microhei")
    home.command(f"{sys.executable} -m tests.support.screenshots --into {tmp_path}")
    assert {file.stem for file in tmp_path.iterdir()} == {shot.name for shot in screenshots.SHOTS}


def test_behavior_is_part_of_the_evaluation_and_every_reason_is_true(here):
    tests = json.loads((here.reports / "evaluation.json").read_text())["behavior"]["tests"]
    for name in ("false_reasons", "private_fm_neighbors_by_one_artist", "daily_skipped_and_never_heard"):
        assert tests[name]["value"] == 0, tests[name]


def test_the_console_shows_the_reports_and_the_lineage_of_the_release(here):
    console = f"http://{here.host}:{here.console_port}"
    assert set(re.findall(r'href="/((?:reports|dbt)/[^"]+)"', httpx.get(console).text)) == {
        file for file, _ in REPORTS.values()
    } - {"reports/experiment.html"}
    release = run.recommend(here, run.find_recent_user(here))["release"]
    lineage = httpx.get(f"{console}/releases/{release}").text
    assert "ot recorded" not in lineage
    assert "<dt>source</dt><dd>debug</dd>" in lineage


def service_pids(here):
    programs = {service.name: process.members(str(here.home), service.name) for service in services.SERVICES}
    # Process ids start again from 1 at some time, so the oldest process need not have the lowest one.
    return {name: min(members, key=lambda member: member.create_time()).pid for name, members in programs.items()}


def test_a_failed_expectation_stops_the_pipeline_and_the_release_stays_in_service(home, here):
    user_id = run.find_recent_user(here)
    release = run.recommend(here, user_id)["release"]
    pids = service_pids(here)
    # Landing would quarantine this position, so the row is written by another program.
    events = here.landing / "listening_events"
    now = datetime.now(UTC)
    landed = pl.read_parquet(events / "dt=*" / "*.parquet", hive_partitioning=False)
    values = {"event_id": uuid.uuid4().hex, "position": 20_000, "occurred_at": now, "ended_at": now}
    row = landed.head(1).with_columns(
        **{name: pl.lit(value).cast(landed[name].dtype) for name, value in values.items()}
    )
    partition = events / f"dt={now.date()}"
    partition.mkdir(exist_ok=True)
    row.write_parquet(partition / "of_another_program.parquet")
    command = [sys.executable, "-m", "local.run", "--recipe", "debug"]
    done = subprocess.run(command, cwd=home.tree, env=home.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "task validate_landed failed" in done.stderr
    assert "failed: position " in done.stderr
    assert "What to do: The log and the data docs list every failed expectation" in done.stderr
    assert "build_marts" not in done.stdout
    assert run.recommend(here, user_id)["release"] == release
    # Services are reused, and the event that the recommender recorded is landed before the validation.
    assert done.stdout.count("was running") == len(services.SERVICES)
    assert service_pids(here) == pids
    landed = pl.read_parquet(here.landing / "listening_events" / "dt=*" / "*.parquet", hive_partitioning=False)
    assert landed.filter(pl.col("action") == "block", pl.col("event_id") == BLOCK_ID).height == 1


def test_no_connection_left_the_machine(home, here):
    assert not home.refused_connections.exists(), home.refused_connections.read_text()
