"""`python -m local.publish_marts`: publishes the marts that dbt cannot publish itself, one sorted Parquet file per mart.

dbt on Spark writes each mart as a folder of part files, named in row order; they are concatenated row group by row group, and
the published file is replaced atomically. Marts for object storage are built on the local disk and uploaded. In all other
cases dbt has published the marts already. `changed_users` is the last, so that a reader of it finds marts that are at least as new.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from config import settings
from storage import object_store
from storage.files import open_draft


def publish(written: Path, marts: Path) -> list[str]:
    """Convert every mart folder in `written` to `marts/<name>.parquet` and remove it; return the names."""
    folders = sorted((path.parent for path in written.glob("*/_SUCCESS")), key=_order)
    for folder in folders:
        with open_draft(marts / f"{folder.name}.parquet") as draft:
            _merge_parts(sorted(folder.glob("part-*.parquet")), draft)
        shutil.rmtree(folder)
    return [folder.name for folder in folders]


def upload(built: Path, marts: Path) -> list[str]:
    """Upload every file in `built` to object storage and remove it; return the names. A killed upload can be repeated."""
    files = sorted(built.glob("[!.]*.parquet"), key=_order)
    for file in files:
        object_store.upload(file, marts / file.name)
        file.unlink()
    return [file.stem for file in files]


def _order(path: Path) -> tuple[bool, str]:
    return path.stem == "changed_users", path.stem


def _merge_parts(parts: list[Path], path: Path) -> None:
    schema = pq.read_schema(parts[0]).remove_metadata()
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for part in parts:
            with pq.ParquetFile(part) as rows:
                for group in range(rows.num_row_groups):
                    file.write_table(rows.read_row_group(group).cast(schema))


def main() -> None:
    """Publish and upload what the settings require."""
    here = settings.load_settings()
    if not here.tables_url and here.engine != "spark":
        print("dbt on DuckDB has already published the marts")
    else:
        names: list[str] = []
        if here.engine == "spark":
            names = publish(here.spark / "marts", here.built_marts if here.tables_url else here.marts)
        if here.tables_url:
            names = upload(here.built_marts, here.marts)
        print("published " + (", ".join(names) or "nothing: dbt has built no mart"))


if __name__ == "__main__":
    main()
