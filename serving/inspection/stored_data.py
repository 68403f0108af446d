"""Everything that a home and its tables store about a user, as JSON values: the stores that `privacy.erase` erases.

Independent of HTTP.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from config.settings import Settings
from sequences.skew.feature_log import FEATURE_LOG_PREFIX
from serving.response_schemas import ExportResponse
from storage import object_store
from storage.json_lines import read_rows
from storage.user_data import USER_COLUMN, list_user_tables

MAX_ROWS = 50_000
"""Rows of one store in an export; a person has fewer events."""

Rows = list[dict[str, Any]]


def collect_stored_data(
    user_id: str, here: Settings, stored: Mapping[str, Rows], online: Mapping[str, Mapping[str, Sequence[Any]]]
) -> ExportResponse:
    """What is stored about a user; stores without anything are left out, those with more than `MAX_ROWS` rows are cut.

    Args:
        user_id: The user.
        here: Settings of the home.
        stored: Rows of the user in the stores of events and of the serving state, by table.
        online: Rows of the online store of the user.
    """
    found: dict[str, Rows] = defaultdict(list)
    for name, rows in _stores(user_id, here, stored):
        found[name] += islice(rows, MAX_ROWS + 1 - len(found[name]))
    stores: dict[str, Any] = {name: rows[:MAX_ROWS] for name, rows in found.items() if rows}
    cut = sorted(name for name, rows in found.items() if len(rows) > MAX_ROWS)
    views = {view: {name: list(values) for name, values in columns.items()} for view, columns in online.items()}
    features = {view: columns for view, columns in views.items() if any(columns.values())}
    stores |= {"online_store": features} if features else {}
    return export_of(user_id, stores, cut)


def export_of(user_id: str, stores: dict[str, Any], cut: Sequence[str] = ()) -> ExportResponse:
    """An export of now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return ExportResponse(user_id=user_id, exported_at=now, stores=stores, cut=list(cut))


def _stores(user_id: str, here: Settings, stored: Mapping[str, Rows]) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    for table, rows in stored.items():
        yield table, iter(rows)
    for path in sorted(here.feature_log.glob(f"dt=*/{FEATURE_LOG_PREFIX}-*.jsonl")):
        yield "feature_log", (row for row in read_rows(path, user_id) if row.get(USER_COLUMN) == user_id)
    for name, path in list_user_tables(here):
        yield name, _rows_of_table(path, user_id)


def _rows_of_table(path: Path, user_id: str) -> Iterator[dict[str, Any]]:
    rows = pl.scan_parquet(object_store.open_arrow_source(path) if object_store.is_remote(path) else path)
    try:
        names = rows.collect_schema().names()
    except (FileNotFoundError, pl.exceptions.ComputeError):  # removed since it was listed, or being written
        return
    if USER_COLUMN not in names:
        return
    selected = rows.filter(pl.col(USER_COLUMN).cast(pl.String) == user_id).head(MAX_ROWS + 1)
    for row in selected.collect(engine="streaming").iter_rows(named=True):
        yield json.loads(json.dumps(row, default=str))
