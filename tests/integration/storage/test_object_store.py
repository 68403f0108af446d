"""Writes to object storage are atomic even if a process is killed, and local copies are always up to date."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from config import settings
from local.publish_marts import upload
from storage import object_store
from storage.errors import StorageError
from tests.support import object_storage
from tests.support.pipeline_commands import run_to_end

ROWS = 400_000
UPLOAD = (
    "from config import settings; from local.publish_marts import upload; here = settings.load_settings(); "
    "upload(here.built_marts, here.marts)"
)
FETCH = (
    "from config import settings; from storage import object_store; object_store.fetch_marts(settings.load_settings())"
)


def build(here: settings.Settings, version: int, rows: int = ROWS) -> pl.DataFrame:
    """Write an unpublished mart of a few incompressible megabytes."""
    table = pl.DataFrame({"version": np.full(rows, version), "number": np.random.default_rng(version).random(rows)})
    here.built_marts.mkdir(parents=True, exist_ok=True)
    table.write_parquet(here.built_marts / "plays.parquet")
    return table


def published(here: settings.Settings) -> pl.DataFrame:
    return pl.read_parquet(object_store.fetch_marts(here) / "plays.parquet")


def run_and_kill(server: dict[str, str], side: str, code: str) -> None:
    """Run code in a process and kill it after it has transferred a megabyte."""
    children: list[subprocess.Popen[bytes]] = []
    endpoint = server["AWS_ENDPOINT_URL"]

    def kill() -> None:
        children[0].kill()

    with object_storage.interrupted_proxy(endpoint, side, 1_000_000, kill) as url:
        variables = os.environ | {"AWS_ENDPOINT_URL": url}
        children.append(subprocess.Popen([sys.executable, "-c", code], env=variables, cwd=settings.ROOT))
        assert children[0].wait(120) == -9


def test_interrupted_upload_leaves_no_partial_table(here: settings.Settings, server: dict[str, str]) -> None:
    old = build(here, 1)
    assert upload(here.built_marts, here.marts) == ["plays"]
    new = build(here, 2)
    run_and_kill(server, "to", UPLOAD)
    shutil.rmtree(here.home / "cache", ignore_errors=True)
    assert [path.name for path in object_store.list_files(here.marts, "*")] == ["plays.parquet"]
    assert published(here).equals(old)
    assert upload(here.built_marts, here.marts) == ["plays"]
    assert published(here).equals(new)
    assert not list(here.built_marts.iterdir())


def test_interrupted_fetch_leaves_no_partial_copy(here: settings.Settings, server: dict[str, str]) -> None:
    old = build(here, 1)
    upload(here.built_marts, here.marts)
    assert published(here).equals(old)
    new = build(here, 2)
    upload(here.built_marts, here.marts)
    run_and_kill(server, "from", FETCH)
    assert pl.read_parquet(here.home / "cache" / "marts" / "plays.parquet").equals(old)
    assert published(here).equals(new)


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
    here: settings.Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ingestion.land import main

    with pytest.raises(StorageError, match=r"cannot access s3://no-such-bucket/x .*AWS_ENDPOINT_URL"):
        object_store.check_bucket_access(settings.remote_folder("s3://no-such-bucket/x"))
    monkeypatch.setenv("SEGUE_TABLES", "s3://no-such-bucket/x")
    assert main([str(here.home)]) == 2
    assert "cannot access s3://no-such-bucket/x" in capfd.readouterr().err
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
