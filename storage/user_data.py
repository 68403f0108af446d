"""Parquet files that may have rows of users: what an erasure of users covers, and an export of a user's data reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.settings import Settings
from storage import object_store
from storage.files import list_nested_files

PARQUET_FOLDERS = ("simulated", "training", "bentoml", "study", "ablations", "peers", "reports", "batch")
"""Folders of SEGUE_HOME in which stages write Parquet files with users."""
USER_COLUMN, RAW_COLUMN = "user_id", "raw"
"""Id of the user to whom a row belongs, and text of a quarantined row."""
DRAFT_PREFIX = "tmp_"
"""Prefix of the file that DuckDB writes before it publishes a mart under its name."""


def list_mart_files(here: Settings) -> list[Path]:
    """Files of the published marts."""
    files = object_store.list_files(here.marts, "*.parquet")
    return [file for file in files if not file.name.startswith(DRAFT_PREFIX)]


def list_parquet_files(here: Settings, name: str) -> list[Path]:
    """Parquet files in one of PARQUET_FOLDERS."""
    return [path for path in list_nested_files(here.home / name) if path.suffix == ".parquet"]


def list_user_tables(here: Settings) -> Iterator[tuple[str, Path]]:
    """Store and path of every Parquet file that may have rows of users; a store is `<folder>/<table>`."""
    for name, folder in (("landing", here.landing), ("quarantine", here.quarantine)):
        for path in object_store.list_files(folder, "*/dt=*/*.parquet"):
            yield f"{name}/{path.parents[1].name}", path
    for path in list_mart_files(here):
        yield f"marts/{path.stem}", path
    for name in PARQUET_FOLDERS:
        for path in list_parquet_files(here, name):
            yield _table_name(path.relative_to(here.home)), path


def _table_name(path: Path) -> str:
    """The folder of the partitions, or the path without its extension."""
    place = next((place for place, part in enumerate(path.parts) if part.startswith("dt=")), None)
    return str(path.with_suffix("") if place is None else Path(*path.parts[:place]))
