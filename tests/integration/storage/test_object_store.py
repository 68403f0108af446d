"""What a path on object storage promises: whole or not at all, whoever is killed; and copies that are never old."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from config import settings
from local.publish import upload
from storage import object_store
from tests.support import object_storage
from training.engine.workspace import MissingInput, Workspace

ROWS = 400_000
UPLOAD = "from config import settings; from local.publish import upload; here = settings.load_settings(); upload(here.built, here.marts)"
FETCH = (
    "from config import settings; from storage import object_store; object_store.fetch_marts(settings.load_settings())"
)


def build(here: settings.Settings, version: int, rows: int = ROWS) -> pl.DataFrame:
    """A mart on its way out: some megabytes that do not compress."""
    table = pl.DataFrame({"version": np.full(rows, version), "number": np.random.default_rng(version).random(rows)})
    here.built_marts.mkdir(parents=True, exist_ok=True)
    table.write_parquet(here.built_marts / "plays.parquet")
    return table


def published(here: settings.Settings) -> pl.DataFrame:
    return pl.read_parquet(object_store.fetch_marts(here) / "plays.parquet")


def killed(server: dict[str, str], side: str, code: str) -> None:
    """Runs it until a megabyte went over the line, and kills it there."""
    children: list[subprocess.Popen[bytes]] = []
    endpoint = server["AWS_ENDPOINT_URL"]

    def kill() -> None:
        children[0].kill()

    with object_storage.breaking(endpoint, side, 1_000_000, kill) as line:
        variables = os.environ | {"AWS_ENDPOINT_URL": line}
        children.append(subprocess.Popen([sys.executable, "-c", code], env=variables, cwd=settings.ROOT))
        assert children[0].wait(120) == -9


def test_half_a_table_is_never_there_when_its_upload_is_killed(here: settings.Settings, server: dict[str, str]) -> None:
    old = build(here, 1)
    assert upload(here.built_marts, here.marts) == ["plays"]
    new = build(here, 2)
    killed(server, "to", UPLOAD)
    shutil.rmtree(here.home / "cache", ignore_errors=True)
    assert [path.name for path in object_store.list_files(here.marts, "*")] == ["plays.parquet"]
    assert published(here).equals(old)
    assert upload(here.built_marts, here.marts) == ["plays"]
    assert published(here).equals(new)
    assert not list(here.built_marts.iterdir())


def test_a_landed_file_is_there_whole_or_not_at_all(here: settings.Settings, server: dict[str, str]) -> None:
    file = here.landing / "listening_events" / "dt=2026-06-01" / "some.parquet"
    code = (
        "from config import settings; from storage import object_store; "
        f"object_store.write(settings.remote_folder({str(file)!r}), bytes(4_000_000))"
    )
    killed(server, "to", code)
    assert object_store.list_files(here.landing, "*/*/*") == []
    object_store.write(file, b"whole")
    assert file.read_bytes() == b"whole"


def test_a_copy_is_whole_when_its_fetching_is_killed(here: settings.Settings, server: dict[str, str]) -> None:
    old = build(here, 1)
    upload(here.built_marts, here.marts)
    assert published(here).equals(old)
    new = build(here, 2)
    upload(here.built_marts, here.marts)
    killed(server, "from", FETCH)
    assert pl.read_parquet(here.home / "cache" / "marts" / "plays.parquet").equals(old)
    assert published(here).equals(new)


def test_a_table_that_is_replaced_while_it_is_copied_is_copied_again(
    here: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(here, 1)
    upload(here.built_marts, here.marts)
    new, copies = build(here, 2), []
    real = shutil.copyfileobj

    def replaced(source, target, size):
        copies.append(source.details["ETag"])
        if len(copies) == 1:
            upload(here.built_marts, here.marts)
        real(source, target, size)

    monkeypatch.setattr(object_store.shutil, "copyfileobj", replaced)
    assert published(here).equals(new)
    assert len(set(copies)) == 2


def test_only_what_changed_is_fetched_again_and_what_is_gone_goes(
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
    assert object_store.fetch_mart(here, f"{here.marts}/plays.parquet") == cache / "plays.parquet"
    assert published(here).equals(new) and fetched == ["tables/marts/plays.parquet"]
    (here.marts / "tracks.parquet").unlink()
    assert sorted(path.name for path in object_store.fetch_marts(here).glob("*.parquet")) == ["plays.parquet"]
    assert not object_store.fetch_mart(here, f"{here.marts}/sessions.parquet").exists()


def test_spark_has_copies_of_what_is_landed_and_no_other_engine_leaves_any(here: settings.Settings) -> None:
    spark, names = dataclasses.replace(here, engine="spark"), [f"events/dt=2026-06-0{day}/a.parquet" for day in (1, 2)]
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
    on_disk = dataclasses.replace(spark, tables_url="")
    assert object_store.fetch_landing(on_disk) == on_disk.landing and not copies.exists()


@pytest.mark.parametrize(
    "pattern", ["*.parquet", "dt=*/*.parquet", "dt=2026-0*/*.parquet", "dt=2026-07/*.parquet", "*/dt=2026-06-01/*", "*"]
)
def test_files_are_found_as_on_a_disk(here: settings.Settings, pattern: str) -> None:
    names = ("a.parquet", ".b.parquet.tmp", "dt=2026-06-01/c.parquet", "dt=2026-07/d.parquet", "t/dt=2026-06-01/e.json")
    for folder in (here.home, here.tables):
        for name in names:
            object_store.write(folder / name, b"x")
    on_disk, remote = ([str(path.relative_to(folder)) for path in object_store.list_files(folder, pattern) if path.is_file()]
                       for folder in (here.home, here.tables))  # fmt: skip
    assert on_disk == [name.split("tables/")[-1] for name in remote] and remote
    assert object_store.list_files(here.tables / "nowhere", pattern) == []


def test_what_is_not_there_or_lets_nobody_in_is_named(
    here: settings.Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ingestion.land import main

    with pytest.raises(object_store.StorageError, match=r"cannot access s3://no-such-bucket/x .*AWS_ENDPOINT_URL"):
        object_store.check_bucket_access(settings.remote_folder("s3://no-such-bucket/x"))
    monkeypatch.setenv("SEGUE_TABLES", "s3://no-such-bucket/x")
    assert main([str(here.home)]) == 2
    assert "cannot access s3://no-such-bucket/x" in capfd.readouterr().err
    assert not here.home.exists()


def test_training_says_that_it_cannot_have_its_marts(here: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingInput, match=f"no mart plays in {here.marts}"):
        Workspace.open(recipe="debug")
    monkeypatch.setenv("SEGUE_TABLES", "s3://no-such-bucket/x")
    with pytest.raises(MissingInput, match="cannot access s3://no-such-bucket/x/marts"):
        Workspace.open(recipe="debug")


def test_on_a_disk_nothing_of_s3_is_loaded(tmp_path: Path) -> None:
    code = """
import sys, settings, storage
from pathlib import Path
here = settings.load()
storage.write(here.marts / "plays.parquet", b"x")
assert storage.marts(here) == here.home / "marts" and storage.files(here.marts, "*.parquet")
storage.check(here.tables), storage.connection(here.landing).close()
assert not {"s3fs", "upath", "botocore", "fsspec"} & set(sys.modules), sorted(sys.modules)
"""
    variables = {name: value for name, value in os.environ.items() if name != "SEGUE_TABLES"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables | {"SEGUE_HOME": str(tmp_path)},
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
