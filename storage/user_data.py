"""Parquet files that may have rows of users: what an erasure of users covers, and an export of a user's data reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from config.settings import Settings
from storage import object_store

PARQUET_FOLDERS = ("simulated", "training", "bentoml", "study", "ablations", "peers", "reports", "batch")
"""Folders of SEGUE_HOME in which stages write Parquet files with users."""
USER_COLUMN, RAW_COLUMN = "user_id", "raw"
"""A row belongs to a user by its id or, for quarantined rows without a valid id, by the ids in its raw text."""
DRAFT_PREFIX = "tmp_"
"""Prefix of the file that DuckDB writes before it publishes a mart under its name."""

# Separators in the raw text of quarantined rows.
FIELD_SEPARATORS = re.compile(r"[,;|\t]")
JSON_SEPARATORS = re.compile(r"[,:{}\[\]]")  # of truncated JSON


def list_mart_files(here: Settings) -> list[Path]:
    """Files of the published marts and of their pending changes."""
    files = [file for under in ("", "changes/*/") for file in object_store.list_files(here.marts, f"{under}*.parquet")]
    return [file for file in files if not file.name.startswith(DRAFT_PREFIX)]


def list_user_tables(here: Settings) -> Iterator[tuple[str, Path]]:
    """Store and path of every Parquet file that may have rows of users; a store is `<folder>/<table>`."""
    for name, folder in (("landing", here.landing), ("quarantine", here.quarantine)):
        for path in object_store.list_files(folder, "*/dt=*/*.parquet"):
            yield f"{name}/{path.parents[1].name}", path
    for path in list_mart_files(here):
        is_whole = path.parent == here.marts
        yield f"marts/{path.stem}" if is_whole else f"marts/changes/{path.parent.name}", path
    for name in PARQUET_FOLDERS:
        for path in sorted((here.home / name).rglob("*.parquet")):
            yield _table_name(path.relative_to(here.home)), path


def extract_user_ids(raw: str) -> set[str]:
    """User ids in `raw` of a quarantined row, so that rows of erased users can be dropped.

    The `user_id` of a JSON object; for other text all delimited fields, since any of them may be the user id.
    """
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and USER_COLUMN in row:
        return {str(row[USER_COLUMN]).strip()}
    if isinstance(row, dict | list):
        return set()
    fields = [*FIELD_SEPARATORS.split(raw), *JSON_SEPARATORS.split(raw)]
    return {field.strip().strip('"') for field in fields} - {""}


def _table_name(path: Path) -> str:
    """The folder of the partitions, or the path without its extension."""
    place = next((place for place, part in enumerate(path.parts) if part.startswith("dt=")), None)
    return str(path.with_suffix("") if place is None else Path(*path.parts[:place]))
