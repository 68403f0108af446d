"""A simulated day through the real pipeline, landed, built and read from the offline store: no value differs."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from config import settings
from event_store.opened import open_event_store, open_serving_state
from ingestion import simulate
from ingestion.land import land
from ingestion.land import main as land_command
from sequences.feast_store import open_store
from sequences.online import materialize
from sequences.skew import __main__, compare, feature_log
from serving.events.feature_log import FeatureLog
from serving.events.ingest import EventIngestor
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator, OnlineStore
from serving.pipeline.stages.recall import Recall
from serving.pipeline.track_pipeline import TrackPipeline
from serving.releases.track_lookup import TrackLookup
from tests.support.landing_zone import built
from tests.support.pipeline_commands import FEAST, command
from tests.support.serving.asgi_client import use_home
from tests.support.serving.small_release import ListChannel, degradation, release

DAY = date(2026, 6, 30)
MIDNIGHT = datetime(2026, 6, 30, tzinfo=UTC)
MINUTE = 60_000_000
USERS, DAYS, REQUESTS = 60, 12, 250
MARTS = ("--select", "+events", "+user_profiles", "+tracks", "+landings", "+changed_users")


def us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def reports_of(rows: list[dict[str, Any]], chance: random.Random) -> list[tuple[int, dict[str, Any]]]:
    """(report time, contract row): in time, hours late, duplicate, ahead of the clock, tied."""
    reports, last = [], {}
    for row in rows:
        event = {name: value for name, value in row.items() if value is not None}
        ended, began = us(row["ended_at"]), us(row["occurred_at"])
        if row["user_id"] in last and chance.random() < 0.1:
            ended = last[row["user_id"]]
            began = min(began, ended) if row["action"] == "play" else ended
        arrival = ended + chance.randrange(2_000_000)
        kind = chance.random()
        if kind < 0.08:
            arrival += chance.randrange(10 * MINUTE, 240 * MINUTE)
        elif kind < 0.11:
            arrival = ended - 2 * MINUTE
        if chance.random() < 0.5:
            del event["sequence_number"]  # the log numbers it
        event |= {"occurred_at": began, "ended_at": ended}
        last[row["user_id"]] = ended
        reports.append((arrival, event))
        if chance.random() < 0.05:
            reports.append((arrival + chance.randrange(60 * MINUTE), event))
    return reports


def replay(home: Path, rows: list[dict[str, Any]]) -> SimpleNamespace:
    """Sends reports and requests in time order through the parts of the service.

    Returns:
        The `home` after the day, the logged `requests`, and the numbers of `late`, `early` and `duplicate` events.
    """
    chance, clock, metrics = random.Random(7), [us(MIDNIGHT)], Metrics(CollectorRegistry())
    tracks = pl.read_parquet(home / "marts" / "tracks.parquet")
    here = settings.load_settings()
    store, state = open_event_store(here, lambda: clock[0]), open_serving_state(here, lambda: clock[0])
    online = OnlineStore(degradation(), store)
    served = release(tracks, [ListChannel("popularity", range(2, 40))], contract=online.contract())
    features = FeatureLog(home / "requests", 1.0, lambda: clock[0], max_bytes_per_hour=1 << 30)
    path = TrackPipeline(Hydrator(online, metrics, features), Recall(metrics, deadline_s=60), state, metrics)
    reporter = EventIngestor(store, TrackLookup(here, Mock(current=served)), metrics, lambda: clock[0])

    steps: list[tuple[int, Any]] = list(reports_of(rows, chance))
    users = [row["user_id"] for row in rows]
    for _ in range(REQUESTS // 2):
        steps.append((us(MIDNIGHT) + chance.randrange(25 * MINUTE, 1439 * MINUTE), chance.choice(users)))
    for at, event in chance.sample(steps[: -REQUESTS // 2], REQUESTS // 2):
        request_time = min(max(at, us(MIDNIGHT) + 25 * MINUTE), us(MIDNIGHT) + 1438 * MINUTE) + chance.randrange(MINUTE)
        steps.append((request_time, event["user_id"]))
    counts = {"late": 0, "early": 0, "duplicate": 0}
    for clock[0], step in sorted(steps, key=lambda one: one[0]):
        if isinstance(step, str):
            path.recommend(read_request(step, "daily", 5, clock[0]), served)
        else:
            result = reporter.ingest([step])
            assert result.rejected == []
            counts["duplicate"] += result.duplicate
            counts["late"] += clock[0] > step["ended_at"] + 10 * MINUTE
            counts["early"] += clock[0] < step["ended_at"]
    store.close()
    state.close()
    return SimpleNamespace(home=home, requests=list(feature_log.read_requests(home / "requests", DAY, DAY)), **counts)


def landed_at(home: Path, known: set[Path], moment: datetime) -> set[Path]:
    """Sets the times of landed files as if landing had run at that time."""
    files = set((home / "landing").glob("*/dt=*/*.parquet"))
    for path in files - known:
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    return files


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, home)
        world = tmp_path_factory.mktemp("world")
        simulate.main(
            [f"--users={USERS}", "--tracks=200", f"--days={DAYS}", "--seed=5", f"--last-day={DAY}", f"--out={world}"]
        )
        today = world / "listening_events" / f"dt={DAY}"
        rows = pl.read_parquet(today / "*.parquet").sort("ended_at", "sequence_number").to_dicts()
        for file in today.iterdir():
            file.unlink()
        land(world, home)
        files = landed_at(home, set(), MIDNIGHT - timedelta(minutes=5))
        built(home, *MARTS, as_of=str(DAY))
        command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
        patch.setattr(sys, "argv", ["materialize", "--as-of", str(DAY)])
        materialize.main()
        done = replay(home, rows)
        assert land_command(["--events"]) == 0
        landed_at(home, files, MIDNIGHT + timedelta(days=1, minutes=5))
        built(home, *MARTS, as_of=str(DAY + timedelta(days=1)))
        yield done


def test_simulated_day_has_every_kind_of_arrival(replayed: SimpleNamespace) -> None:
    assert len(replayed.requests) == REQUESTS
    assert replayed.late > 10 and replayed.early > 5 and replayed.duplicate > 5
    lengths = [len(request.views["recent_events"]["event_id"]) for request in replayed.requests]
    assert max(lengths) == 50 and min(lengths) < 50
    assert any(request.applied for request in replayed.requests)
    left = [len(request.views["impressions_left"]["event_id"]) for request in replayed.requests]
    assert max(left) > 20 and min(left) < 20


def test_no_feature_value_differs(replayed: SimpleNamespace) -> None:
    with closing(open_event_store(settings.load_settings())) as events:
        found = compare.compare_requests(
            open_store(), events, replayed.requests, replayed.home / "marts", replayed.home / "landing"
        )
    assert found.unequal == 0, found.examples
    assert found.compared == found.requests == REQUESTS
    assert found.values > 50_000
    assert found.late > 0 and found.early > 0
    assert found.restated == found.pending == found.unread == found.stale == 0


def test_command_fails_on_skew_only(replayed: SimpleNamespace) -> None:
    report = replayed.home / "reports" / "skew.json"
    tomorrow = str(DAY + timedelta(days=1))
    assert __main__.main(["--as-of", tomorrow]) == 0
    assert json.loads(report.read_text())["skew_rate"] == 0 and json.loads(report.read_text())["compared"] == REQUESTS
    (file,) = (replayed.home / "requests").glob(f"dt={DAY}/*.jsonl")
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"full_play"', b'"wrong"'))
    assert good != file.read_bytes()
    assert __main__.main(["--as-of", tomorrow]) == 1
    file.write_bytes(good)
    assert __main__.main(["--as-of", "2026-05-01"]) == 0
    assert json.loads(report.read_text())["requests"] == 0
