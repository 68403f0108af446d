"""Hand-made home with reports and releases, and the console that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from config.settings import Settings
from console.live_metrics import MetricsSampler
from console.server import Console
from ingestion.landed_tables import LANDINGS
from storage.files import atomic_write
from tests.support.serving import http_server
from web.basic_authentication import OperatorPassword

SLATE = {
    "served": {"recall_at_30": {"all": [0.31, 0.29, 0.33]}},
    "most_played": {"recall_at_30": {"all": [0.3, 0.2, 0.4]}},
}
LANDED = {"landing_id": "1a2b3c4d5e6f7a8b", "format": "play_log", "split": "user_time", "landed": 900, "quarantined": 3}
LINEAGE = {
    "logs": [LANDED | {"landed_at": "2026-06-09T08:15:00+00:00"}],
    "marts_published_at": "2026-06-10T01:02:03+00:00",
    "feature_definitions": "feedbeefcafe0000",
    "content": {"audio": {"version": "mtt_musicnn.1", "tracks": 1200}, "image": {"version": None, "tracks": 0}},
    "fitted_at": {"channel/realtime": "2026-06-10T02:00:00+00:00", "ranker/sum_pooling": "2026-06-10T02:30:00+00:00"},
}
MANIFEST: dict[str, Any] = {
    "release": "second",
    "as_of": "2026-06-10",
    "recipe": "debug",
    "inputs": "99aa88bb77cc66dd",
    "marts": {"events": "e0e1e2e3e4e5e6e7", "plays": "d0d1d2d3d4d5d6d7"},
    "channels": ["realtime"],
    "collections": [],
    "ranker": "sum_pooling",
    "feature_services": {"realtime": "recall_realtime", "sum_pooling": "ranking"},
    "models": {
        "final": {"channel/realtime": "f1f1f1f1f1f1f1f1", "ranker/sum_pooling": "f2f2f2f2f2f2f2f2"},
        "held_out": {"channel/realtime": "a1a1a1a1a1a1a1a1", "ranker/sum_pooling": "a2a2a2a2a2a2a2a2"},
    },
    "vocabulary": "0123456789abcdef",
    "gate": {
        "is_passed": True,
        "reasons": ["passes: slate recall_at_30 0.3100 <b>"],
        "figures": {"slate": [0.31, 0.29, 0.33]},
        "compared_with": "first",
    },
    "forced": None,
    "metrics": {"slate": SLATE},
    "lineage": LINEAGE,
    "revision": "abcdef0123456789",
    "released_at": "2026-06-10T03:00:00+00:00",
}

DAYS = [f"2026-06-{day:02}" for day in range(2, 10)]
QUALITY: dict[str, Any] = {
    "as_of": "2026-06-10",
    "max_drift": 0.2,
    "tables": [
        {
            "name": "events",
            "time_column": "known_at",
            "rows": 4000,
            "newest_at": "2026-06-09 22:00:00",
            "days": DAYS,
            "row_counts": [200] * 7 + [50],
            "columns": [
                {"name": "scene", "type": "VARCHAR", "null_rates": [0.0] * 7 + [0.25], "drift": [None] * 8, "week_drift": 0.0,
                 "bins": [["daily", 1.0, 1.0]]},
                {"name": "action", "type": "VARCHAR", "null_rates": [0.0] * 8, "drift": [None, *[0.1] * 7], "week_drift": 0.4,
                 "bins": [["play", 0.6, 1.0], ["<skip>", 0.4, 0.0]]},
            ],
        },
        {"name": "exposures", "time_column": "shown_at", "rows": 0, "newest_at": None, "days": [], "row_counts": [],
         "columns": []},
    ],
}  # fmt: skip


def write(file: Path, content: object) -> None:
    """Write text unchanged, anything else as JSON."""
    atomic_write(file, content if isinstance(content, str) else json.dumps(content))


def add_release(here: Settings, manifest: dict[str, Any], is_whole: bool = True) -> None:
    """Add the manifest of a release to the store; `is_whole`: also its list of hashes."""
    folder = here.releases / "models" / "segue" / manifest["release"]
    write(folder / "manifest.json", manifest)
    if is_whole:
        write(folder / "files.sha256", "")


def write_reports(here: Settings) -> None:
    """Write one of each report, and a release in service that replaced another."""
    write(here.reports / "evaluation.html", "the report")
    write(here.reports / "evaluation.json", {"as_of": "2026-06-10", "slate": SLATE, "best_memory": "last_played"})
    write(here.reports / "skew.json", {"as_of": "2026-06-10", "unequal": 1})
    write(here.reports / "data_docs" / "landed" / "outcome.html", "landed")
    write(here.reports / "data_quality.json", QUALITY)
    add_release(here, {"release": "first", "released_at": "2026-06-01T03:00:00+00:00", "as_of": "2026-06-01"})
    add_release(here, MANIFEST)
    add_release(here, {"release": "half", "released_at": "2026-06-11T03:00:00+00:00"}, is_whole=False)
    left = {"release": "first", "path": "models/segue/first", "left_at": "2026-06-10T03:01:00+00:00", "why": "replaced"}
    write(
        here.releases / "active.json",
        {
            "release": "second",
            "path": "models/segue/second",
            "activated_at": "2026-06-10T03:01:00+00:00",
            "history": [left],
        },
    )
    land(here, "my <logs>.zip")


def land(here: Settings, source: str) -> None:
    """Write the landing record of LANDED with the file name `source`."""
    folder = here.landing / "landings" / "dt=2026-06-09"
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"read": 903, "landed": 900, "duplicate": 0, "quarantined": 3}
    row = {"landing_id": LANDED["landing_id"], "source": source, "format": "play_log", "split": "user_time", **counts}
    row["landed_at"] = datetime(2026, 6, 9, 8, 15, tzinfo=UTC)
    pq.write_table(pa.Table.from_pylist([row], LANDINGS), folder / "a.parquet")


@contextmanager
def serve_console(here: Settings, password: str = "", sampler: MetricsSampler | None = None) -> Iterator[str]:
    """Start the console and yield its URL."""
    with http_server.serve(Console(here, OperatorPassword(password), sampler or MetricsSampler(here)).app) as url:
        yield url
