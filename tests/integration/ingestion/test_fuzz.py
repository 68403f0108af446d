"""Mutated rows of every format are reconciled to the row: each one is landed, duplicate, quarantined or suppressed.

A few hundred rows per format; a million (10,000 music files) with SEGUE_ACCEPTANCE. The expected number of rows is counted in the written
files by the simplest means, independently of the readers. SEGUE_FUZZ_SEED chooses other mutations.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from ingestion import landed_tables
from ingestion.land import land
from ingestion.readers import READERS
from storage.suppression_list import SuppressionList
from tests.support.fuzzed_logs import ERASED_USER, FORMATS, MUSIC_FILES, ROWS, TABLES


def count(folder: Path, tables: Iterable[str]) -> int:
    files = [file for table in tables for file in (folder / table).glob("dt=*/*.parquet")]
    return sum(pq.read_metadata(file).num_rows for file in files)


@pytest.mark.parametrize("name", READERS)
def test_every_mutated_row_is_accounted_for(tmp_path: Path, name: str) -> None:
    seed = int(os.environ.get("SEGUE_FUZZ_SEED", "7"))
    home = tmp_path / "home"
    SuppressionList().with_users([ERASED_USER, "7"]).write(home / "suppression_list.json")
    expected = FORMATS[name](tmp_path / "log", random.Random(seed))
    rows = MUSIC_FILES if name == "music_folder" else ROWS
    assert expected >= rows - rows // 4
    counts = land(tmp_path / "log", home)
    assert list(counts) == [name]
    found, table = counts[name], TABLES.get(name, "listening_events")
    assert found.read == found.landed + found.duplicate + found.quarantined + found.suppressed
    assert found.landed == count(home / "landing", landed_tables.SOURCE_TABLES)
    assert found.quarantined == count(home / "quarantine", landed_tables.SOURCE_TABLES)
    assert found.landed > rows // 4 and found.quarantined > 0
    accounted = (
        count(home / "landing", [table]) + count(home / "quarantine", [table]) + found.duplicate + found.suppressed
    )
    assert accounted == expected
    assert land(tmp_path / "log", home)[name].landed == 0
    quarantine = pl.concat(pl.read_parquet(file) for file in (home / "quarantine").rglob("*.parquet"))
    assert quarantine["reason"].str.len_chars().min() > 0
