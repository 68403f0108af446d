"""A small home with data of one user in every store, and a search for remaining traces of a user."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from ingestion import simulate
from ingestion.land import land
from releases import integrity, model_store
from releases.pointer import Pointer
from research.serving.synthetic_release import make_release
from tests.support.landing_zone import built
from tests.support.log_sources import json_lines

LAST_DAY = date(2026, 6, 30)
AS_OF = date(2026, 7, 1)
LOG = "simulated/tiny"
"""Folder of the log, relative to the home."""
SHARED_TABLES = ("facts", "suppressed", "workers", "ids", "agreed")
"""Tables of the stores without rows of users."""


def land_simulated_log(home: Path) -> None:
    """Land a simulated log and build its marts; each of the first three users has invalid rows in quarantine."""
    size = ["--users=24", "--tracks=120", "--days=6", "--seed=3", f"--last-day={LAST_DAY}"]
    simulate.main([*size, f"--out={home / LOG}"])
    for file in (home / LOG).rglob("*.parquet"):
        table = pl.read_parquet(file, hive_partitioning=False)
        if "user_id" in table.columns:
            named = pl.col("user_id").str.replace("u", "listener-").str.replace(r"-(\d)$", "-0$1")
            table.with_columns(named).write_parquet(file)
    land(home / LOG, home)
    land(write_invalid_rows(home.parent / "broken.jsonl", active_users(home)[:3]), home)
    built(home, as_of=str(AS_OF))


def write_invalid_rows(path: Path, users: list[str]) -> Path:
    """A log with two invalid rows per user: one violates the contract, the other is not JSON."""
    row = {
        "event_id": "x",
        "target_type": "track",
        "target_id": "t",
        "action": "hum",
        "occurred_at": "2026-06-30T10:00Z",
    }
    whole = [row | {"event_id": f"broken-{user}", "user_id": user} for user in users]
    return json_lines(path, [*whole, *(f'{{"user_id": "{user}", "event' for user in users)])


def active_users(home: Path) -> list[str]:
    """Ids of users with landed events, most active first."""
    events = pl.read_parquet(home / "landing" / "listening_events" / "dt=*" / "*.parquet", hive_partitioning=False)
    return events.group_by("user_id").len().sort("len", "user_id", descending=[True, False])["user_id"].to_list()


def add_models(home: Path) -> Path:
    """Add files of training with user ids: lists in a workspace, and an active release with user histories."""
    users = sorted(active_users(home))
    cases = pl.DataFrame({"user_id": users, "request_at": range(len(users)), "targets": [["t1"]] * len(users)})
    workspace = home / "training" / f"{AS_OF}-debug" / "evaluation"
    cases.write_parquet(workspace / "recall_fused.parquet", mkdir=True)
    folder = home / "bentoml" / "models" / model_store.MODEL_NAME / "made"
    make_release(folder, 400, "debug", "made")
    cases.select("user_id", "request_at", recall=pl.lit(0.5)).write_parquet(folder / "slate.parquet")
    item = pl.Series("item", [[2, 3]] * len(users), pl.List(pl.Int32))
    known_at = pl.Series("known_at", [[5, 6]] * len(users), pl.List(pl.Int64))
    pl.DataFrame([pl.Series("user_id", users), item, known_at]).write_parquet(
        folder / "channels" / "knowledge_graph" / "heard.parquet"
    )
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
    Pointer(home / "bentoml" / "active.json").activate("made", folder)
    return folder


def files_with_user(home: Path, user: str) -> list[str]:
    """All files below the home that contain the id in their bytes or, for Parquet, in their values."""
    return sorted(str(file.relative_to(home)) for file in home.rglob("*") if file.is_file() and _has(file, user))


def _has(file: Path, user: str) -> bool:
    if user.encode() in file.read_bytes():
        return True
    return file.suffix == ".parquet" and user in str(pl.read_parquet(file, hive_partitioning=False).to_dicts())


def rows_of_others(home: Path, user: str) -> dict[str, list[Any]]:
    """All rows and lines of other users, by table or file, independent of file names and order."""
    found: dict[str, list[Any]] = {}
    for file in sorted(home.rglob("*.parquet")):
        rows = [row for row in pl.read_parquet(file, hive_partitioning=False).rows() if user not in repr(row)]
        # Landed files are named by their content; only the partition is stable.
        name = file.parent if "landing" in file.parts else file
        found.setdefault(str(name.relative_to(home)), []).extend(rows)
    for file in sorted(home.glob("requests/*/*.jsonl")):
        lines = file.read_text().splitlines()
        found[str(file.relative_to(home))] = [line for line in lines if line.strip() and user not in line]
    for file in [*home.glob("feast/online.db"), *home.glob("feast/mat*.db"), *home.glob("serving/*.db")]:
        for table, rows in _tables(file, user):
            if table not in SHARED_TABLES:
                found[f"{file.relative_to(home)}/{table}"] = rows
    return {name: rows for name, rows in found.items() if rows}


def _tables(file: Path, user: str) -> Iterator[tuple[str, list[Any]]]:
    connection = sqlite3.connect(file)
    tables = [
        name for (name,) in connection.execute("select name from sqlite_master where type = 'table' order by name")
    ]
    for table in tables:
        rows = connection.execute(f'select * from "{table}"').fetchall()
        yield table, sorted(row for row in map(repr, rows) if user not in row)
    connection.close()
