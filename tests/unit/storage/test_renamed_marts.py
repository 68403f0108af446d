"""Marts of an earlier version with another name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from config.settings import Settings
from storage.renamed_marts import remove_renamed


def names(marts: Path) -> list[str]:
    return sorted(path.name for path in marts.iterdir())


@pytest.fixture
def marts(here: Settings) -> Path:
    """Marts of the previous version."""
    here.marts.mkdir()
    for name in ("plays", "train_cuts"):
        pl.DataFrame({"name": [name]}).write_parquet(here.marts / f"{name}.parquet")
    return here.marts


def test_a_renamed_mart_stays_until_its_successor_is_published(marts: Path) -> None:
    assert remove_renamed(marts) == []
    pl.DataFrame({"name": ["time_split"]}).write_parquet(marts / "time_split.parquet")
    assert remove_renamed(marts) == ["train_cuts"]
    assert names(marts) == ["plays.parquet", "time_split.parquet"]
    assert remove_renamed(marts) == []
