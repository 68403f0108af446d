"""A backup of a home whose recommender runs, restored to another path: equal answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from local.recovery.backup import backup
from local.recovery.restore import restore
from releases.pointer import Pointer
from research.serving import synthetic_release
from serving import runtime as runtime_module
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.runtime import Runtime, now_us
from tests.support.recommender_service import prepared

USERS, TRACKS = 12, 400
REQUESTED_USERS = [f"u{number:06d}" for number in range(2, 8)]
LIKE = {"event_id": "e1", "user_id": "u000000", "target_type": "track", "target_id": "t1", "action": "like"}


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
        [
            (item.target, item.score, item.reason)
            for item in runtime.respond(scene, partial(read_request, user, scene, 8, discovery=0.0)).items
        ]
        for user in REQUESTED_USERS
        for scene in ("daily", "private_fm")
    ]


def test_restored_home_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, folder, at_us = tmp_path / "home", tmp_path / "backup", now_us()
    monkeypatch.setattr(runtime_module, "now_us", lambda: at_us)
    with prepared(home, "sqlite", 0, prepare, SEGUE_RECALL_DEADLINE_MS="30000"):
        runtime = start()
        expected = answers(runtime)
        assert runtime.ingest_events([LIKE]).accepted == 1
        backup(settings.load_settings(), folder)
        runtime.close()
        home.rename(home.with_name("gone"))
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("SEGUE_MARTS", raising=False)
    restore(settings.load_settings(), folder)
    runtime = start()
    try:
        assert answers(runtime) == expected
        assert runtime.ingest_events([LIKE]).duplicate == 1
        assert runtime.status()["degraded"] == []
    finally:
        runtime.close()
