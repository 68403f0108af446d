"""Write `docs/contract.md` and dbt's seed of behaviors from the contract in code: `python docs/contract_page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))
from event_store.behaviors import BEHAVIORS
from ingestion import contract
from storage import content_tables

PAGE = Path(__file__).parent / "contract.md"
SEED = Path(__file__).parents[1] / "dbt" / "seeds" / "behaviors.csv"
INTRODUCTION = """# The data contract

Every log lands in these tables, `SEGUE_HOME/landing/<table>/dt=<day or month>/*.parquet`. Only rows that satisfy the
contract land; all others go to `SEGUE_HOME/quarantine/<table>` with a reason. This page is written by
`python docs/contract_page.py` from [contract.py](../ingestion/contract.py) and, for `listening_events`, from
[event_store/contract.py](../event_store/contract.py).

- Landing is idempotent: the newest landed row of a key counts, and an event id that has landed before is a duplicate. Of
  `tracks`, each column has the newest value that a source states, and tracks of several sources are matched
  ([ADR 0070](adr/0070-match-tracks-of-several-sources.md)).
- All times are UTC with microseconds; all ids are text. Text is stripped, and empty text is missing, except in optional
  columns of `tracks`: there `""` and `[]` clear the value of an older source, if the row is landed in this contract. A
  column marked with `*` is required.
- `occurred_at` is when an event began, by a clock that does not reveal its outcome; `ended_at` is when the outcome became
  known. A model sees an event from `ended_at` on.
- Your own service's log in these columns, as JSON lines or Parquet, lands without conversion (`own_events` of the
  [readers](../ingestion/readers/README.md)).
- `track_content` and `track_facets` are not landed: `python -m training.encode_content` writes them next to the marts,
  the first in one file per encoder ([content](content.md)).
"""
TYPE_NAMES = {
    "string": "text",
    "timestamp[us, tz=UTC]": "time",
    "int32": "whole number",
    "int64": "whole number",
    "double": "number",
    "float": "number",
    "date32[day]": "day",
    "bool": "true or false",
    "list<item: string>": "list of text",
    "list<item: float>": "list of numbers",
}


def render_page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    keys = {**contract.KEYS, "quarantine": ("reject_id",), "track_content": ("track_id", "encoder")}
    keys["track_facets"] = ("track_id", "facet", "value")
    tables = {**contract.SCHEMAS, "quarantine": contract.QUARANTINE, "track_content": content_tables.SCHEMA}
    tables["track_facets"] = content_tables.FACET_SCHEMA
    for table, schema in tables.items():
        key = ", ".join(f"`{name}`" for name in keys[table])
        rows = [
            f"| `{field.name}`{'' if field.nullable else ' *'} | {TYPE_NAMES[str(field.type)]} | {_description(field)} |"
            for field in schema
        ]
        parts += [f"\n## {table}\nKey: {key}.\n\n| column | | |\n|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


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
    PAGE.write_text(render_page(), encoding="utf-8")
    SEED.write_text(render_seed(), encoding="utf-8")
