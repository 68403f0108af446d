"""Marts of an earlier version with another name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from storage.renamed_marts import remove_renamed


def names(marts: Path) -> list[str]:
    return sorted(path.name for path in marts.iterdir())


@pytest.fixture
def marts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Marts of the previous version."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    folder = tmp_path / "marts"
    folder.mkdir()
    for name in ("plays", "train_cuts"):
        pl.DataFrame({"name": [name]}).write_parquet(folder / f"{name}.parquet")
    return folder


def test_a_renamed_mart_stays_until_its_successor_is_published(marts: Path) -> None:
    assert remove_renamed(marts) == []
    pl.DataFrame({"name": ["time_split"]}).write_parquet(marts / "time_split.parquet")
    assert remove_renamed(marts) == ["train_cuts"]
    assert names(marts) == ["plays.parquet", "time_split.parquet"]
    assert remove_renamed(marts) == []
