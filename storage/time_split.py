"""The mart `time_split`: where the parts for validation and test begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

TIME_SPLIT_MART = "time_split"


def read_time_split(marts: Path) -> dict[str, Any]:
    """The row of the mart `time_split`: split, and with a global split validation_from and test_from; empty without the mart."""
    path = marts / f"{TIME_SPLIT_MART}.parquet"
    return pl.read_parquet(path).row(0, named=True) if path.exists() else {}
