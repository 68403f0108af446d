"""A backup of a home whose recommender accepts events, restored to another path: equal answers, no lost event."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from event_store.opened import open_event_store
from local.recovery.backup import backup
from local.recovery.restore import restore
from research.serving import synthetic_release
from serving import runtime as runtime_module
from serving.observability.metrics import Metrics
from serving.runtime import Runtime, now_us
from storage.suppression_list import SuppressionList
from tests.integration.privacy.erasure_home import files_with_user
from tests.support.recommender_service import prepared
from training.release.pointer import Pointer

USERS, TRACKS = 12, 400
REPORTER, ERASED = "u000000", "u000001"
REQUESTED_USERS = [f"u{number:06d}" for number in range(2, 8)]
LIKE = {"target_type": "track", "target_id": "t1", "action": "like"}
REPORTS_BEFORE, REPORTS_MEANWHILE = 20, 20


@dataclass(frozen=True)
class Backup:
    """A backup, the answers of the backed-up recommender, and the events that were acknowledged before it began."""

    folder: Path
    answers: list[Any]
    acknowledged: set[str]
    at_us: int


def prepare(home: Path) -> Any:
    folder = home / "bentoml" / "models" / "segue" / "made"
    synthetic_release.make_release(folder, TRACKS, "debug", "made")
    Pointer(home / "bentoml" / "active.json").activate("made", folder)
    return synthetic_release.write_users(home / "marts", USERS, TRACKS)


def start() -> Runtime:
    return Runtime(settings.load_settings(), Metrics(CollectorRegistry()))


def answers(runtime: Runtime) -> list[Any]:
    """Responses without chance: daily lists, and streams without new tracks."""
    return [
        [(item.target, item.score, item.reason) for item in runtime.recommend(user, scene, 8, discovery=0.0).items]
        for user in REQUESTED_USERS
        for scene in ("daily", "private_fm")
    ]


def report(runtime: Runtime, number: int, user: str) -> str:
    event = {"event_id": f"e{number}", "user_id": user, **LIKE}
    assert runtime.ingest_events([event]).accepted == 1
    return f"e{number}"


def logged_ids(here: settings.Settings) -> list[str]:
    """Ids of the events in the store, in order."""
    with closing(open_event_store(here)) as store:
        return [event["event_id"] for _, event in store.read(None, 10**6)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backup]:
    home, folder = tmp_path_factory.mktemp("original") / "home", tmp_path_factory.mktemp("backups") / "first"
    at_us = now_us()
    with pytest.MonkeyPatch.context() as patch, prepared(home, "sqlite", 0, prepare, SEGUE_RECALL_DEADLINE_MS="30000"):
        patch.setattr(runtime_module, "now_us", lambda: at_us)
        runtime = start()
        expected = answers(runtime)
        report(runtime, -1, ERASED)  # event e-1
        acknowledged = {report(runtime, number, REPORTER) for number in range(REPORTS_BEFORE)}
        done = threading.Event()

        def keep_reporting() -> None:
            for number in itertools.count(REPORTS_BEFORE):
                if done.is_set() and number > REPORTS_BEFORE + REPORTS_MEANWHILE:
                    return
                report(runtime, number, REPORTER)

        thread = threading.Thread(target=keep_reporting)
        thread.start()
        try:
            backup(settings.load_settings(), folder)
        finally:
            done.set()
            thread.join()
            runtime.close()
        home.rename(home.with_name("gone"))
        yield Backup(folder, expected, acknowledged, at_us)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Backup) -> settings.Settings:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("SEGUE_MARTS", raising=False)
    monkeypatch.setattr(runtime_module, "now_us", lambda: made.at_us)
    return settings.load_settings()


def test_restored_home_answers_the_same_and_has_every_acknowledged_event(
    made: Backup, there: settings.Settings
) -> None:
    restore(there, made.folder)
    runtime = start()
    try:
        assert answers(runtime) == made.answers
        logged = [event_id for event_id in logged_ids(there) if event_id.startswith("e")]
        assert made.acknowledged <= set(logged)
        recent = list(runtime._online.read(REPORTER).views["recent_events"]["event_id"])[-10:]
        assert recent == logged[-10:]
        assert runtime.ingest_events([{"event_id": "e0", "user_id": REPORTER, **LIKE}]).duplicate == 1
        assert runtime.status()["degraded"] == []
    finally:
        runtime.close()


def test_user_erased_after_the_backup_is_not_restored(made: Backup, there: settings.Settings, tmp_path: Path) -> None:
    SuppressionList().with_users([ERASED]).write(tmp_path / "forgotten.json")
    restore(there, made.folder, tmp_path / "forgotten.json")
    assert files_with_user(there.home, ERASED) == []
    runtime = start()
    try:
        assert not runtime.inspector.describe_user(ERASED).is_known
        assert "erased" in runtime.ingest_events([{"event_id": "x", "user_id": ERASED, **LIKE}]).rejected[0].reason
        assert answers(runtime) == made.answers
    finally:
        runtime.close()
