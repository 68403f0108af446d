"""Marts of an earlier version with another name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from local import publish_marts
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


def test_publication_removes_the_renamed_mart(marts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_marts.main()
    assert "removed the mart" not in capsys.readouterr().out
    (marts / "time_split.parquet").write_bytes((marts / "plays.parquet").read_bytes())
    publish_marts.main()
    assert "removed the mart train_cuts, which is time_split now" in capsys.readouterr().out
    assert names(marts) == ["plays.parquet", "time_split.parquet"]
