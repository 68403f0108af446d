"""Mapping of the columns of a user's own CSV files: `segue-mapping.yaml`.

Its keys are explained in `docs/data.md`, "Column mapping".
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from event_store.behaviors import ACTIONS
from ingestion.source_files import SourceError

MAPPING_FILE = "segue-mapping.yaml"
GUIDE = "docs/data.md#column-mapping"
COLUMNS = ("user", "time", "title", "artist", "track", "artist_id", "album", "played", "action", "audio_url")
ONE_COLUMN, ONE_ACTION = (f"^({'|'.join(names)})$" for names in (COLUMNS, ACTIONS))
MAX_BYTES = 64 << 10  # a mapping has less than one; bounds what aliases in it can name


class ColumnMapping(BaseModel):
    """A parsed `segue-mapping.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: Annotated[str, Field(min_length=1)]  # name or glob pattern
    columns: dict[Annotated[str, Field(pattern=ONE_COLUMN)], str]  # one of COLUMNS to the file's column
    header: list[str] | None = None  # all columns of a file without a header line
    delimiter: Literal[",", "\t"] = ","
    # format of the timestamps, in UTC: s and ms are counted from 1970, others are as in "%d %b %Y %H:%M"
    time: Annotated[str, Field(pattern="^(iso|s|ms)$|%")] = "iso"
    means: Literal["begin", "end"] = "begin"  # whether timestamps are starts or ends of plays
    played: Literal["s", "ms"] = "ms"  # unit of the played duration
    actions: dict[
        str, Annotated[str, Field(pattern=ONE_ACTION)]
    ] = {}  # value of the action column to the contract's action

    @model_validator(mode="after")
    def check_columns(self) -> Self:
        """Check that the mapped columns are enough for plays."""
        if "time" not in self.columns:
            raise ValueError("does not map time; add under columns: time: NAME")
        if "track" not in self.columns and not {"title", "artist"} <= self.columns.keys():
            raise ValueError("does not map the track; map track, or title and artist")
        if self.means == "end" and "played" not in self.columns:
            raise ValueError("has only ends of plays; map played as well, or set means: begin if times are starts")
        return self

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
        raise SourceError(f"{name} has more than {MAX_BYTES >> 10} KB; it is not a mapping of columns")
    try:
        return ColumnMapping.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        place = " ".join(["", *map(str, problem["loc"])])
        raise SourceError(f"{name}{place}: {problem['msg']}; see {GUIDE}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # also of dates that do not exist
        raise SourceError(f"{name} is not YAML ({str(error).splitlines()[0]}); see {GUIDE}") from error
