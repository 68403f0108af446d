"""`python -m local.publish`: what dbt could not publish itself, each mart as the one sorted file that every reader expects.

dbt on Spark leaves a folder of part files a mart, whose names are in the order of the rows; they are put one after the
other, row group by row group, and the file appears when it is whole. Marts for object storage are left in a folder of this
machine and uploaded. Otherwise dbt has published already, and there is nothing to do.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from config import settings
from storage import object_store


def publish(written: Path, marts: Path) -> list[str]:
    """Turns every folder in `written` into `marts/<name>.parquet` and removes it; returns the names."""
    folders = sorted(path.parent for path in written.glob("*/_SUCCESS"))
    marts.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        writing = marts / f".{folder.name}.parquet.writing"
        _merge_parts(sorted(folder.glob("part-*.parquet")), writing)
        writing.replace(marts / f"{folder.name}.parquet")
        shutil.rmtree(folder)
    return [folder.name for folder in folders]


def upload(built: Path, marts: Path) -> list[str]:
    """Puts every file in `built` on object storage and removes it; returns the names. Killed, it is finished by the next."""
    written = sorted(built.glob("[!.]*.parquet"))
    for file in written:
        object_store.upload(file, marts / file.name)
        file.unlink()
    return [file.stem for file in written]


def _merge_parts(parts: list[Path], path: Path) -> None:
    schema = pq.read_schema(parts[0]).remove_metadata()
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for part in parts:
            with pq.ParquetFile(part) as rows:
                for group in range(rows.num_row_groups):
                    file.write_table(rows.read_row_group(group).cast(schema))


def main() -> None:
    """The command."""
    here = settings.load_settings()
    if not here.tables_url and here.engine != "spark":
        print("dbt on DuckDB has published the marts itself")
        return
    names: list[str] = []
    if here.engine == "spark":
        names = publish(here.spark / "marts", here.built_marts if here.tables_url else here.marts)
    if here.tables_url:
        names = upload(here.built_marts, here.marts)
    print("published " + (", ".join(names) or "nothing: dbt has built no mart"))


if __name__ == "__main__":
    main()
