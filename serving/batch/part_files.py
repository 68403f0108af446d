"""Parquet files of a resumable run: numbered parts that appear whole or not at all, and the description of the run.

A part is written beside its place and renamed. A run that finds the description of an equal run continues after its parts;
parts of another run are removed. Independent of recommendations.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.batch import BatchError
from storage.files import atomic_write, open_draft, read_json

DESCRIPTION_FILE, SUCCESS_FILE = "batch.json", "_SUCCESS"


class PartFolder:
    """The folder of one run.

    Args:
        folder: The folder, which is created.
        kinds: Names of the tables, which are folders inside.
        description: What determines the content of the files; JSON.
        at_us: Time of the requests if the run begins, µs since 1970; a continued run keeps that of its beginning. A finished
            run is not continued: the next one writes every part anew.

    Raises:
        BatchError: The folder has other files.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], description: Mapping[str, Any], at_us: int) -> None:
        self._folder = folder
        self._file = file = folder / DESCRIPTION_FILE
        earlier = read_json(file)
        if not file.exists() and folder.exists() and any(folder.iterdir()):
            raise BatchError(f"{folder} has other files; give --out a new or empty folder")
        is_equal = {**earlier, "at_us": None} == {**description, "at_us": None}
        self.is_continued = is_equal and not (folder / SUCCESS_FILE).exists()
        if self.is_continued:
            self.at_us = int(earlier["at_us"])
        else:
            # `_SUCCESS` first, because readers rely on it. The description stays, because without it the folder would no longer
            # count as one of an earlier run; it is empty, so that the rest of a finished run is not continued.
            (folder / SUCCESS_FILE).unlink(missing_ok=True)
            if file.exists():
                _write(file, {})
            for kind in kinds:
                shutil.rmtree(folder / kind, ignore_errors=True)
            self.at_us = at_us
            _write(file, {**description, "at_us": at_us})

    def path(self, kind: str, name: str | int) -> Path:
        """File of a table: a numbered part of the table `kind`, or a file with a name."""
        return self._folder / kind / (f"part-{name:05d}.parquet" if isinstance(name, int) else f"{name}.parquet")

    def write(self, kind: str, name: str | int, table: pa.Table) -> None:
        """Write a file; it is complete when it appears."""
        with open_draft(self.path(kind, name)) as draft:
            pq.write_table(table, draft, compression="zstd")

    def finish(self) -> None:
        """Write `_SUCCESS`, after which readers may rely on the folder."""
        (self._folder / SUCCESS_FILE).touch()


def _write(file: Path, content: dict[str, Any]) -> None:
    atomic_write(file, json.dumps(content, indent=1) + "\n")
