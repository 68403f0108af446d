"""Erasure on object storage covers objects and local copies, and fails if the bucket keeps old versions."""

from __future__ import annotations

import polars as pl
import pytest
from s3fs import S3FileSystem

from config import settings
from ingestion import landed_tables
from ingestion.land import land
from privacy.erase import main
from storage import object_store, suppression_list
from tests.support.log_sources import play_log

ROWS = [f"{user},{1_500_000_000 + month * 2_700_000 + n * 61},{n % 3 + 1},1,{n * 7_000}"
        for user in ("ann", "bob") for month in range(2) for n in range(5)]  # fmt: skip


@pytest.fixture
def filled(here: settings.Settings) -> settings.Settings:
    """Landed plays of two users, an invalid row of each, a mart and its local copy."""
    land(
        play_log(here.home.parent / "log", [*ROWS, "ann,never,1,1,5", "bob,never,1,1,5"]), here.home, tables=here.tables
    )
    here.built_marts.mkdir(parents=True)
    tables(here)["landing"].select("user_id", "event_id", "ended_at").sort("user_id").write_parquet(
        here.built_marts / "plays.parquet", row_group_size=7
    )
    object_store.upload(here.built_marts / "plays.parquet", here.marts / "plays.parquet")
    object_store.fetch_marts(here)
    return here


def tables(here: settings.Settings) -> dict[str, pl.DataFrame]:
    files = {
        "landing": object_store.list_files(here.landing / "listening_events", "dt=*/*.parquet"),
        "quarantine": object_store.list_files(here.quarantine, "*/dt=*/*.parquet"),
        "marts": object_store.list_files(here.marts, "*.parquet"),
        "copies": sorted((here.home / "cache" / "marts").glob("*.parquet")),
    }
    return {
        name: pl.concat([pl.read_parquet(path.read_bytes()) for path in paths])
        for name, paths in files.items()
        if paths
    }


def test_erasure_removes_a_user_from_every_object_and_keeps_the_others(
    filled: settings.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    of_spark = object_store.fetch_landing(filled.model_copy(update={"engine": "spark"}))
    before = tables(filled)
    assert main(["ann"]) == 0
    assert "ann: erased, 21 rows" in capsys.readouterr().out
    after = tables(filled)
    assert set(after) == set(before) == {"landing", "quarantine", "marts", "copies"}
    for name, table in before.items():
        expected = table.filter(pl.col("user_id") == "bob")
        assert after[name].sort(*expected.columns[:2]).equals(expected.sort(*expected.columns[:2])), name
    assert after["landing"].height == 10 and set(after["landing"].columns) == set(landed_tables.LISTENING_EVENTS.names)
    assert not filled.built_marts.exists() and not of_spark.exists()
    assert land(filled.home.parent / "log", filled.home, tables=filled.tables)["play_log"].landed == 0


@pytest.mark.parametrize("is_suspended", [False, True])
def test_erasure_fails_if_the_bucket_keeps_versions(
    filled: settings.Settings, is_suspended: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, server = filled.tables_url.split("/")[2], S3FileSystem()
    before = tables(filled)
    server.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if is_suspended:
        object_store.write(filled.tables / "once.txt", b"was here")
        (filled.tables / "once.txt").unlink()
        server.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert main(["ann"]) == 2
    assert "keeps versions" in capsys.readouterr().err
    assert len(suppression_list.read_suppression_list(filled.suppression_list)) == 0
    assert all(table.equals(before[name]) for name, table in tables(filled).items())


def test_erasure_accepts_suspended_versioning_without_old_versions(filled: settings.Settings) -> None:
    bucket = filled.tables_url.split("/")[2]
    S3FileSystem().call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert not object_store.is_versioned(filled.tables)
