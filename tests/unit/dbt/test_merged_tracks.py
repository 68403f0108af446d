"""Names by which tracks of several sources are matched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2

from config import settings

SPELLINGS = [
    ["Frantic", "FRANTIC!", "Frantic (feat. Some DJ)", "Frantic ft. Some DJ", "Frantic [featuring Some DJ]"],
    ["Frantic feat. Some DJ - Remix", "Frantic (feat. Some DJ) [Remix]", "Frantic - Remix"],
    ["Frantic (feat. Some DJ - Remix)"],
    ["Frantic ft. Some DJ Live"],
    ["Frantic ft. Some DJ (Live)", "Frantic - Live"],
    ["What a Feat It Was"],
    ["What a Feat That Was"],
    ["What"],
    ["Defeat. Again"],
    ["Don't Go", "Dont Go", "DON’T GO"],
    ["Sun & Moon", "Sun and Moon"],
    ["Naïve Ångström", "Naive Angstrom", "nai\u0308ve a\u030angstro\u0308m"],
    ["ガラス"],
    ["カラス"],
    ["หา"],
    ["ห"],
]
EDITIONS = [
    ["Halo", "Halo - Remastered 2011", "Halo (2011 Remaster)", "Halo - 2011 Digital Remaster", "Halo (with Bob) [Remastered]"],
    ["Halo - Remastered Live"],
    ["Halo (with Bob, Live)"],
    ["Halo With Bob"],
]  # fmt: skip


def names(expression: str, titles: list[str]) -> list[str]:
    """Values of a Jinja expression of the macros for titles; `title` is the column of normalized titles."""
    duckdb_adapter = SimpleNamespace(dispatch=lambda name, _: getattr(macros, f"default__{name}"))
    text = "".join(
        (settings.ROOT / "dbt" / "macros" / f"{file}.sql").read_text() for file in ("merged_tracks", "normalize_name")
    )
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    macros: Any = environment.from_string(text, globals={"adapter": duckdb_adapter}).module
    key = environment.compile_expression(expression)(**vars(macros))
    normalized = f"select {macros.normalize_name('name')} as title from (select unnest(?) as name)"
    return [row for (row,) in duckdb.execute(f"select {key} from ({normalized})", [titles]).fetchall()]


def test_names_are_equal_if_they_name_one_recording() -> None:
    for expression, groups in (("match_key('title')", SPELLINGS), ("match_key(without_edition('title'))", EDITIONS)):
        keys = [set(names(expression, titles)) for titles in groups]
        assert [len(of) for of in keys] == [1] * len(keys), keys
        assert len(set.union(*keys)) == len(keys), keys
