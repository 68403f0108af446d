"""What the columns of somebody's CSV mean: a small YAML file beside it, `segue-mapping.yaml`.

    file: plays*.csv          # names or patterns, below the folder
    delimiter: ","            # "," or "\\t"
    columns:
      user: listener
      time: played_at
      title: song             # a track id, or a title and an artist
      artist: artist
      track: song_id          # these and all below may be left out
      artist_id: artist_id
      album: album
      played: seconds
      action: what
      audio_url: link           # where a track can be heard: https, or a path of the recommender's host
    header: [listener, played_at]   # all columns in order, where the file has no first line with names
    time: iso                 # iso (UTC unless it says otherwise), s or ms since 1970
    means: begin              # whether the time is that of the begin or the end of a play
    played: s                 # s or ms
    actions: {heart: like}    # what the values of `action` mean; plays are `play`

Knows nothing about rows.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Literal

import yaml

from ingestion.contract import ACTIONS
from ingestion.sources import SourceError

MAPPING_FILE = "segue-mapping.yaml"
COLUMNS = ("user", "time", "title", "artist", "track", "artist_id", "album", "played", "action", "audio_url")
CHOICES = {"delimiter": (",", "\t"), "time": ("iso", "s", "ms"), "means": ("begin", "end"), "played": ("s", "ms")}
KEYS = ("file", "columns", "header", "actions", *CHOICES)


@dataclass(frozen=True)
class ColumnMapping:
    """Which columns hold what; see the module."""

    file: str
    columns: Map[str, str]
    header: list[str] | None = None
    delimiter: str = ","
    time: Literal["iso", "s", "ms"] = "iso"
    means: Literal["begin", "end"] = "begin"
    played: Literal["s", "ms"] = "ms"
    actions: Map[str, str] = field(default_factory=dict)

    def matches(self, name: str) -> bool:
        """Whether a file of this name is meant."""
        return fnmatch(name, self.file) or fnmatch(name, f"{self.file}.gz")


def parse_mapping(text: bytes, name: str) -> ColumnMapping:
    """The mapping that a file says.

    Raises:
        SourceError: it is not one; the message names the file, the key and what may stand there.
    """
    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{name} is not YAML ({str(error).splitlines()[0]}); see ingestion/readers/parsing/column_mapping.py"
        ) from error
    if not isinstance(said, dict):
        raise SourceError(
            f"{name} holds no keys; it needs file and columns, see ingestion/readers/parsing/column_mapping.py"
        )
    if unknown := [str(key) for key in said if key not in KEYS]:
        raise SourceError(f"{name} has {', '.join(unknown)}, which means nothing; known are {', '.join(KEYS)}")
    for key, allowed in CHOICES.items():
        if key in said and said[key] not in allowed:
            raise SourceError(f"{name} says {key}: {said[key]!r}; give one of {', '.join(map(repr, allowed))}")
    columns = _texts(said.get("columns"), "columns", name)
    if not isinstance(said.get("file"), str) or not said["file"]:
        raise SourceError(f"{name} does not say which file it is about; add file: plays.csv")
    _check_columns(columns, said, name)
    actions = _texts(said.get("actions") or {}, "actions", name)
    if wrong := [action for action in actions.values() if action not in ACTIONS]:
        raise SourceError(f"{name} turns something into {', '.join(wrong)}; known actions are {', '.join(ACTIONS)}")
    header = said.get("header")
    if header is not None and not (isinstance(header, list) and all(isinstance(one, str) for one in header)):
        raise SourceError(f"{name} has a header that is no list of names; give all columns in order")
    return ColumnMapping(**{**said, "columns": columns, "actions": actions})


def _check_columns(columns: Map[str, str], said: Map[str, Any], name: str) -> None:
    if unknown := [key for key in columns if key not in COLUMNS]:
        raise SourceError(f"{name} maps {', '.join(unknown)}; what can be mapped is {', '.join(COLUMNS)}")
    if lacking := [key for key in ("user", "time") if key not in columns]:
        raise SourceError(f"{name} does not say which column is the {' and the '.join(lacking)}")
    if "track" not in columns and not {"title", "artist"} <= columns.keys():
        raise SourceError(f"{name} does not say which column is the track; map track, or title and artist")
    if said.get("means") == "end" and "played" not in columns:
        raise SourceError(f"{name} gives only ends; map played as well, or say means: begin if the times are begins")


def _texts(value: Any, key: str, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise SourceError(f"{name} needs {key} as names and names, like user: listener")
    return value
