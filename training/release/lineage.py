"""Where a release comes from, for people who look at it: logs ▸ marts ▸ features ▸ models.

What is here is no part of the release's id: the same rows landed a day later make the same release.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from training.engine.import_closure import code_hash
from training.engine.workspace import INPUTS_FILE, LANDINGS_MART, Workspace


def lineage(workspace: Workspace, models: Iterable[str]) -> dict[str, Any]:
    """`logs`: the landings that the marts were built from, oldest first, without the names of files (a personal export may
    be called by its listener). `marts_published_at`, and for each `final` model (`kind/name`) `fitted_at`: UTC.
    `feature_definitions`: hash of the code that says what a feature is.
    """
    fits = {model: workspace.model_folder(*_split(model)) / INPUTS_FILE for model in models}
    return {
        "logs": logs(workspace.marts),
        "marts_published_at": max(_written_at(file) for file in workspace.marts.glob("*.parquet")),
        "feature_definitions": code_hash("sequences.views"),
        "fitted_at": {model: _written_at(file) for model, file in fits.items()},
    }


def logs(marts: Path) -> list[dict[str, Any]]:
    """The mart of landings, row by row, times as text; nothing where the marts are from before there was one."""
    file = marts / f"{LANDINGS_MART}.parquet"
    if not file.exists():
        return []
    rows = pl.read_parquet(file).sort("landed_at", "landing_id")
    return rows.with_columns(pl.col("landed_at").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")).to_dicts()


def _split(model: str) -> tuple[str, str, str]:
    kind, name = model.split("/")
    return kind, "final", name


def _written_at(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
