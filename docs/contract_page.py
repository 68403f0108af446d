"""Write the tables of `docs/data.md` and dbt's seed of behaviors from the contract in code: `python docs/contract_page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))
from event_store.behaviors import BEHAVIORS
from ingestion import landed_tables
from storage import mart_tables

PAGE = Path(__file__).parent / "data.md"
SEED = Path(__file__).parents[1] / "dbt" / "seeds" / "behaviors.csv"
FIRST_TABLE = "### listening_events"
TYPE_NAMES = {
    "string": "text",
    "timestamp[us, tz=UTC]": "time",
    "int32": "integer",
    "int64": "integer",
    "double": "number",
    "float": "number",
    "date32[day]": "day",
    "bool": "boolean",
    "list<item: string>": "texts",
    "list<item: float>": "numbers",
}


def render_page(page: str) -> str:
    """The page with the present tables at its end."""
    parts = [page.split(FIRST_TABLE, maxsplit=1)[0]]
    tables = {table: (schema, landed_tables.KEYS[table]) for table, schema in landed_tables.SCHEMAS.items()} | {
        "quarantine": (landed_tables.QUARANTINE, ("reject_id",)),
        "track_content": (mart_tables.CONTENT_SCHEMA, ("track_id", "encoder")),
        "track_facets": (mart_tables.FACET_SCHEMA, ("track_id", "facet", "value")),
    }
    for table, (schema, names) in tables.items():
        key = ", ".join(f"`{name}`" for name in names)
        rows = [
            f"| `{field.name}`{'' if field.nullable else ' *'} | {TYPE_NAMES[str(field.type)]} | {_description(field)} |"
            for field in schema
            if field not in (landed_tables.LANDED_AT, *landed_tables.ORIGIN)
        ]
        parts.append("\n".join([f"### {table}\nKey: {key}.\n\n| column | | |\n|---|---|---|", *rows, "\n"]))
    return "".join(parts).rstrip("\n") + "\n"


def render_seed() -> str:
    """The seed of behaviors."""
    rows = [
        f"{row.behavior_id},{row.behavior},{row.action},{row.polarity},{str(row.is_explicit).lower()},{row.description}"
        for row in BEHAVIORS
    ]
    return "\n".join(["behavior_id,behavior,action,polarity,is_explicit,description", *rows, ""])


def _description(field: pa.Field) -> str:
    return (field.metadata or {}).get(b"description", b"").decode().replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SEED.write_text(render_seed(), encoding="utf-8")
