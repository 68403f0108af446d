"""Mapping of the columns of a user's own CSV files: `segue-mapping.yaml`.

Its keys are explained in `ingestion/readers/README.md`, "Column mapping".
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Literal

import yaml

from event_store.behaviours import ACTIONS
from ingestion.source_files import SourceError

MAPPING_FILE = "segue-mapping.yaml"
GUIDE = "ingestion/readers/README.md#column-mapping"
COLUMNS = ("user", "time", "title", "artist", "track", "artist_id", "album", "played", "action", "audio_url")
CHOICES = {"delimiter": (",", "\t"), "time": ("iso", "s", "ms"), "means": ("begin", "end"), "played": ("s", "ms")}
MAX_BYTES = 1 << 20
MAX_DEPTH = 10  # of nested lists and mappings; a valid mapping file has 2
KEYS = ("file", "columns", "header", "actions", *CHOICES)

OPENING_TOKENS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
CLOSING_TOKENS = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclass(frozen=True)
class ColumnMapping:
    """A parsed `segue-mapping.yaml`."""

    file: str  # name or glob pattern
    columns: Map[str, str]  # one of COLUMNS to the file's column
    header: list[str] | None = None  # all columns of a file without a header line
    delimiter: str = ","
    time: Literal["iso", "s", "ms"] = "iso"  # format of the timestamps; s and ms are counted from 1970
    means: Literal["begin", "end"] = "begin"  # whether timestamps are starts or ends of plays
    played: Literal["s", "ms"] = "ms"  # unit of the played duration
    actions: Map[str, str] = field(default_factory=dict)  # value of the action column to the contract's action

    def matches(self, name: str) -> bool:
        """Whether the mapping applies to a file of this name."""
        return fnmatch(name, self.file) or fnmatch(name, f"{self.file}.gz")


def parse_mapping(text: bytes, name: str) -> ColumnMapping:
    """Parse a mapping file.

    Args:
        text: Content of the file.
        name: Name of the file for error messages.

    Raises:
        SourceError: The mapping is invalid; the message names the file, the key and the allowed values.
    """
    if len(text) > MAX_BYTES:
        raise SourceError(f"{name} has more than {MAX_BYTES >> 20} MB; it is not a mapping of columns")
    try:
        _check_structure(text, name)
        mapping = yaml.safe_load(text)
    except SourceError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # also of dates that do not exist
        raise SourceError(f"{name} is not YAML ({str(error).splitlines()[0]}); see {GUIDE}") from error
    if not isinstance(mapping, dict):
        raise SourceError(f"{name} has no keys; add file and columns, see {GUIDE}")
    if unknown := [str(key) for key in mapping if key not in KEYS]:
        raise SourceError(f"{name} has unknown keys {', '.join(unknown)}; valid keys are {', '.join(KEYS)}")
    for key, allowed in CHOICES.items():
        if key in mapping and mapping[key] not in allowed:
            raise SourceError(f"{name} has {key}: {mapping[key]!r}; use one of {', '.join(map(repr, allowed))}")
    columns = _texts(mapping.get("columns"), "columns", name)
    if not isinstance(mapping.get("file"), str) or not mapping["file"]:
        raise SourceError(f"{name} does not name the file that it describes; add file: plays.csv")
    _check_columns(columns, mapping, name)
    actions = _texts(mapping.get("actions") or {}, "actions", name)
    if unknown := [action for action in actions.values() if action not in ACTIONS]:
        raise SourceError(
            f"{name} maps to unknown actions {', '.join(unknown)}; valid actions are {', '.join(ACTIONS)}"
        )
    header = mapping.get("header")
    if header is not None and not (isinstance(header, list) and all(isinstance(item, str) for item in header)):
        raise SourceError(f"{name} has a header that is not a list of names; list all columns in order")
    return ColumnMapping(**{**mapping, "columns": columns, "actions": actions})


def _check_structure(text: bytes, name: str) -> None:
    """Reject aliases, which may expand a few lines to gigabytes, and nesting that exceeds the parser's recursion."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            raise SourceError(f"{name}, line {line}: anchors and aliases are not supported; write the value out")
        if isinstance(token, OPENING_TOKENS):
            depth += 1
        elif isinstance(token, CLOSING_TOKENS):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SourceError(f"{name}, line {line}: nested more than {MAX_DEPTH} levels; it needs 2, see {GUIDE}")


def _check_columns(columns: Map[str, str], mapping: Map[str, Any], name: str) -> None:
    if unknown := [key for key in columns if key not in COLUMNS]:
        raise SourceError(f"{name} maps unknown columns {', '.join(unknown)}; valid columns are {', '.join(COLUMNS)}")
    if missing := [key for key in ("user", "time") if key not in columns]:
        raise SourceError(
            f"{name} does not map {' and '.join(missing)}; add under columns: {', '.join(f'{key}: NAME' for key in missing)}"
        )
    if "track" not in columns and not {"title", "artist"} <= columns.keys():
        raise SourceError(f"{name} does not map the track; map track, or title and artist")
    if mapping.get("means") == "end" and "played" not in columns:
        raise SourceError(f"{name} has only ends of plays; map played as well, or set means: begin if times are starts")


def _texts(value: Any, key: str, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise SourceError(f"{name} needs {key} as pairs of names, such as user: listener")
    return value
