"""Marts with versions and change files, as `dbt/macros/publish_changes.sql` publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage import mart_changes

Row = dict[str, Any]


def publish_whole(marts: Path, name: str, rows: Sequence[Row], schema: pa.Schema, version: str) -> None:
    """Publish a mart whole with a version."""
    _write(marts / f"{name}.parquet", rows, schema, {b"version": version.encode()})


def publish_changes(
    marts: Path, name: str, old: Sequence[Row], new: Sequence[Row], schema: pa.Schema, key: Sequence[str], version: str
) -> None:
    """Publish the rows in which `new` differs from `old`, the newest published rows."""
    previous = mart_changes.read_published(marts, name).newest_version
    deleted = [row | {"is_deleted": True} for row in old if row not in new]
    inserted = [row | {"is_deleted": False} for row in new if row not in old]
    rows = sorted([*deleted, *inserted], key=lambda row: [str(row[column]) for column in key])
    folder = marts / mart_changes.CHANGES_FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {b"key": ",".join(key).encode()}
    _write(folder / f"{previous}-{version}.parquet", rows, schema.append(pa.field("is_deleted", pa.bool_())), metadata)


def _write(path: Path, rows: Sequence[Row], schema: pa.Schema, metadata: dict[bytes, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema.with_metadata(metadata)), path)
