"""Marts that have another name since an earlier version: their published files are removed when the new mart is published."""

from __future__ import annotations

from pathlib import Path

from storage import object_store

RENAMED_MARTS = {"train_cuts": "time_split"}
"""Name in an earlier version → name. dbt drops their tables (macro `renamed_tables`)."""


def remove_renamed(marts: Path) -> list[str]:
    """Remove the marts whose successor is published, from the disk or from object storage; returns their names."""
    published = {path.stem: path for path in object_store.list_files(marts, "*.parquet")}
    removed = [old for old, new in RENAMED_MARTS.items() if old in published and new in published]
    for name in removed:
        published[name].unlink()
    return removed
