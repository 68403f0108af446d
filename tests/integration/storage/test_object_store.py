"""Interrupted transfers leave whole tables, and local copies are always up to date."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from s3fs import S3FileSystem

from config import settings
from local.publish_marts import upload
from storage import object_store
from storage.errors import StorageError
from tests.support.pipeline_commands import run_to_end

ROWS = 400_000


def build(here: settings.Settings, version: int, rows: int = ROWS) -> pl.DataFrame:
    """Write an unpublished mart of a few incompressible megabytes."""
    table = pl.DataFrame({"version": np.full(rows, version), "number": np.random.default_rng(version).random(rows)})
    here.built_marts.mkdir(parents=True, exist_ok=True)
    table.write_parquet(here.built_marts / "plays.parquet")
    return table


def published(here: settings.Settings) -> pl.DataFrame:
    return pl.read_parquet(object_store.fetch_marts(here) / "plays.parquet")


@pytest.mark.parametrize("is_fetch", [False, True], ids=["upload", "fetch"])
def test_an_interrupted_transfer_leaves_the_old_table(here: settings.Settings, is_fetch: bool) -> None:
    old = build(here, 1)
    upload(here.built_marts, here.marts)
    assert published(here).equals(old)
    new = build(here, 2)
    with pytest.MonkeyPatch.context() as patch:
        if is_fetch:
            upload(here.built_marts, here.marts)
            patch.setattr(object_store.shutil, "copyfileobj", interrupt)
        else:
            patch.setattr(S3FileSystem, "_call_s3", interrupt)
        with pytest.raises(StorageError):
            published(here) if is_fetch else upload(here.built_marts, here.marts)
    assert pl.read_parquet(here.home / "cache" / "marts" / "plays.parquet").equals(old)
    upload(here.built_marts, here.marts)
    assert published(here).equals(new) and not list(here.built_marts.iterdir())


def interrupt(source: object, target: Any = None, *_: object, **__: object) -> None:
    if hasattr(target, "write"):
        target.write(b"half")
    raise OSError("the connection broke")


def test_only_changed_tables_are_fetched_and_removed_ones_deleted(
    here: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(here, 1, rows=3)
    (here.built_marts / "plays.parquet").rename(here.built_marts / "tracks.parquet")
    build(here, 2, rows=3)
    assert upload(here.built_marts, here.marts) == ["plays", "tracks"]
    cache, fetched = object_store.fetch_marts(here), []
    real = shutil.copyfileobj
    monkeypatch.setattr(
        object_store.shutil, "copyfileobj", lambda source, *more: (fetched.append(source.key), real(source, *more))
    )
    assert object_store.fetch_marts(here) == cache and fetched == []
    published_at = (here.marts / "tracks.parquet").stat().st_mtime
    assert (cache / "tracks.parquet").stat().st_mtime == published_at
    new = build(here, 3, rows=3)
    upload(here.built_marts, here.marts)
    assert published(here).equals(new) and fetched == ["tables/marts/plays.parquet"]
    (here.marts / "tracks.parquet").unlink()
    assert sorted(path.name for path in object_store.fetch_marts(here).glob("*.parquet")) == ["plays.parquet"]


def test_only_spark_keeps_copies_of_the_landing_zone(here: settings.Settings) -> None:
    spark, names = (
        here.model_copy(update={"engine": "spark"}),
        [f"events/dt=2026-06-0{day}/a.parquet" for day in (1, 2)],
    )
    for name in names:
        object_store.write(here.landing / name, name.encode())
    copies = object_store.fetch_landing(spark)
    assert copies == here.home / "cache" / "landing"
    assert {name: (copies / name).read_text() for name in names} == {name: name for name in names}
    (here.landing / names[0]).unlink()
    object_store.write(here.landing / names[1], b"another")
    assert object_store.fetch_landing(spark) == copies
    assert [path.read_bytes() for path in object_store.list_files(copies, "*/*/*.parquet")] == [b"another"]
    assert len(list(copies.rglob(".*.etag"))) == 1
    assert object_store.fetch_landing(here) == here.landing and not copies.exists()
    on_disk = spark.model_copy(update={"tables_url": ""})
    assert object_store.fetch_landing(on_disk) == on_disk.landing and not copies.exists()


@pytest.mark.parametrize(
    "pattern", ["*.parquet", "dt=*/*.parquet", "dt=2026-0*/*.parquet", "dt=2026-07/*.parquet", "*/dt=2026-06-01/*", "*"]
)
def test_listing_equals_that_of_a_local_folder(here: settings.Settings, pattern: str) -> None:
    names = ("a.parquet", ".b.parquet.tmp", "dt=2026-06-01/c.parquet", "dt=2026-07/d.parquet", "t/dt=2026-06-01/e.json")
    for folder in (here.home, here.tables):
        for name in names:
            object_store.write(folder / name, b"x")
    on_disk, remote = ([str(path.relative_to(folder)) for path in object_store.list_files(folder, pattern) if path.is_file()]
                       for folder in (here.home, here.tables))  # fmt: skip
    assert on_disk == [name.split("tables/")[-1] for name in remote] and remote
    assert object_store.list_files(here.tables / "nowhere", pattern) == []


def test_missing_or_inaccessible_bucket_is_an_error_that_names_it(
    here: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion.land import main

    with pytest.raises(StorageError, match=r"cannot access s3://no-such-bucket/x .*AWS_ENDPOINT_URL"):
        object_store.check_bucket_access(settings.remote_folder("s3://no-such-bucket/x"))
    monkeypatch.setenv("SEGUE_TABLES", "s3://no-such-bucket/x")
    assert main([str(here.home)]) == 2
    assert not here.home.exists()


def test_local_tables_do_not_import_s3_libraries(tmp_path: Path) -> None:
    code = """
import sys
from config import settings
from storage import object_store
here = settings.load_settings()
object_store.write(here.marts / "plays.parquet", b"x")
assert object_store.fetch_marts(here) == here.home / "marts" and object_store.list_files(here.marts, "*.parquet")
object_store.check_bucket_access(here.tables), object_store.connect_duckdb(here.landing).close()
assert not {"s3fs", "upath", "botocore", "fsspec"} & set(sys.modules), sorted(sys.modules)
"""
    variables = {name: value for name, value in os.environ.items() if name != "SEGUE_TABLES"}
    run_to_end([sys.executable, "-c", code], variables | {"SEGUE_HOME": str(tmp_path)})
