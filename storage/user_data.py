"""Parquet files that may have rows of users: what an erasure of users covers, and an export of a user's data reads."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.settings import Settings
from storage import object_store
from storage.files import list_nested_files

PARQUET_FOLDERS = ("simulated", "training", "bentoml", "study", "ablations", "peers", "reports", "batch")
"""Folders of SEGUE_HOME in which stages write Parquet files with users."""
USER_COLUMN, RAW_COLUMN = "user_id", "raw"
"""A row belongs to a user by its id or, for quarantined rows without a valid id, by the ids in its raw text."""
DRAFT_PREFIX = "tmp_"
"""Prefix of the file that DuckDB writes before it publishes a mart under its name."""

# Parts of the raw text of quarantined rows.
FIELD_SEPARATORS = re.compile(r"[,;|\t]")
JSON_SEPARATORS = re.compile(r"[,:{}\[\]]")  # of truncated JSON
JSON_TEXT = re.compile(r'(?:[^"\\]|\\.)+', re.DOTALL)  # between quotes, whether they open or close a string
USER_KEY = re.compile("user|listener|account|member|person|profile|uid", re.IGNORECASE)
MAX_ID_PARTS, MAX_FIELDS = 3, 1000
"""Parts of an id that contains the delimiter of its row without being quoted, in rows of at most so many fields."""


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


def extract_user_ids(raw: str) -> set[str]:
    """Ids of users that `raw` of a quarantined row may belong to, so that rows of erased users can be dropped.

    The `user_id` of a JSON object, if it has one; otherwise everything that may be a user id, rather too much than too
    little, because the row is invalid. In JSON these are all values, but numbers only under names such as `userId`, because an
    id like 1 would match most rows. In other text they are all delimited fields and quoted strings.
    """
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict | list):
        return _ids_of_text(raw)
    own = row.get(USER_COLUMN) if isinstance(row, dict) else None
    if isinstance(own, str | int | float) and str(own).strip():
        return {str(own).strip()}
    return set(_ids_of_json(row))


def _ids_of_json(row: dict[str, Any] | list[Any]) -> Iterator[str]:
    """Texts of the row, and numbers that are under the name of a user or, in a list of fields, under none."""
    values: list[tuple[Any, bool]] = [(one, not isinstance(one, dict)) for one in row] if isinstance(row, list) else []
    values = values or [(row, False)]
    while values:
        value, is_of_user = values.pop()
        if isinstance(value, dict):
            values += [(one, is_of_user or bool(USER_KEY.search(name))) for name, one in value.items()]
        elif isinstance(value, list):
            values += [(one, is_of_user) for one in value]
        elif isinstance(value, str | int) and (text := str(value).strip()) and (is_of_user or not text.isdigit()):
            yield text


def _ids_of_text(raw: str) -> set[str]:
    fields = [*FIELD_SEPARATORS.split(raw), *JSON_SEPARATORS.split(raw)]
    found = {field.strip().strip('"') for field in fields}
    found.update(_unescape(text).strip() for text in JSON_TEXT.findall(raw))
    for separator in ",;|\t":
        for row in (raw.split(separator), *_parse_csv(raw, separator)):
            for size in range(1, (MAX_ID_PARTS if len(row) <= MAX_FIELDS else 1) + 1):
                parts = zip(*(row[place:] for place in range(size)), strict=False)
                found.update(separator.join(part).strip() for part in parts)
    return found - {""}


def _unescape(text: str) -> str:
    """The text of a JSON string; unchanged if it has invalid escapes."""
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _parse_csv(raw: str, separator: str) -> list[list[str]]:
    """Rows of text with quotes; none without quotes, where the fields are those between the separators."""
    if '"' not in raw:
        return []
    try:
        return list(csv.reader(raw.splitlines(keepends=True), delimiter=separator, skipinitialspace=True))
    except csv.Error:  # a field of more than 128 KB
        return []


def _table_name(path: Path) -> str:
    """The folder of the partitions, or the path without its extension."""
    place = next((place for place, part in enumerate(path.parts) if part.startswith("dt=")), None)
    return str(path.with_suffix("") if place is None else Path(*path.parts[:place]))
