"""Queries with the tracks that are relevant for them, as conditions on the catalog.

`queries.json` was written before any search was run on it, and `facet_queries.json` (negation, opposites, several languages,
style and scene) and `language_queries.json` (seven languages) before the search was changed for such queries;
`development_queries.json` is for the development of methods.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
QUERY_FILES = ("queries", "facet_queries", "language_queries", "development_queries")
NUMBER_SEPARATOR = " No. "
"""Between a title of the simulation and the number that distinguishes it from equal ones."""


@dataclass(frozen=True)
class EvaluationQuery:
    """A query and the conditions that a relevant track meets, all of them."""

    text: str
    language: str  # of its words: en, zh, de, es, fr, ja or ko
    kind: str  # for instance mood, scene or negation
    conditions: tuple[Mapping[str, Any], ...]

    def is_relevant(self, track: Mapping[str, Any]) -> bool:
        """Whether a row of the catalog, with the columns of `build_index`, is relevant."""
        return all(_meets(track, condition) for condition in self.conditions)


def read_queries(name: str = "queries") -> list[EvaluationQuery]:
    """The queries of a file of this folder."""
    rows = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["queries"]
    return [EvaluationQuery(row["query"], row["language"], row["kind"], tuple(row["relevant"])) for row in rows]


def _meets(track: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    if "facet" in condition:
        values = set(track.get(condition["facet"]) or [])
        return (
            values.isdisjoint(condition["none_of"])
            if "none_of" in condition
            else not values.isdisjoint(condition["any_of"])
        )
    if "title" in condition:
        return bool(str(track.get("title")).split(NUMBER_SEPARATOR)[0] == condition["title"])
    if "artist" in condition:
        return bool(condition["artist"] in (track.get("artist_names") or []))
    released = str(track.get("released_on"))
    return bool(condition.get("released_from", "") <= released <= condition.get("released_until", "9999"))
