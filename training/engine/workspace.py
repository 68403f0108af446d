"""Where a training run keeps its results, and how it knows that nothing has to be done again.

`SEGUE_HOME/training/<as_of>-<recipe>/` holds one folder a fit (`held_out`, `final`), in it `vocabulary/`,
`channels/<name>/`, `containers/<name>/`, `rankers/<name>/`, `heads/<name>/`. Every finished output carries `inputs.json`:
the hash of all that went into it. An output whose hash equals is reused. Knows nothing about models.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from config import settings
from storage import object_store
from training.engine.import_closure import code_hash

FITS = ("held_out", "final")
INPUTS_FILE = "inputs.json"
CACHE_FOLDER, MART_HASHES_FILE = "kept", "mart_hashes.json"
DATA_MODULE = "training.data.training_data"
"""The module that makes the arrays which all models of a fit share."""
LANDINGS_MART = "landings"
"""The mart that says where the others come from. Nothing learns from it, so it is no input: the same rows are the same
whenever they were landed.
"""


class MissingInput(RuntimeError):
    """Something that an earlier task writes is not there; the message names it and the command that makes it."""


@dataclass(frozen=True)
class Workspace:
    """One `as_of` and recipe; `marts` are the tables it learns from."""

    folder: Path
    marts: Path
    as_of: str
    recipe: str

    @classmethod
    def open(cls, as_of: str | None = None, recipe: str = "small") -> Workspace:
        """The workspace of `as_of` (YYYY-MM-DD; None: the day after the newest event in the marts) and `recipe`.

        Raises:
            MissingInput: there are no marts, or no event in them to derive `as_of` from, or they cannot be fetched.
        """
        here = settings.load_settings()
        try:
            marts = object_store.fetch_marts(here)
        except object_store.StorageError as error:
            raise MissingInput(str(error)) from error
        if not (marts / "plays.parquet").exists():
            raise MissingInput(
                f"no mart plays in {here.marts}; run `dbt build --project-dir dbt` first, or set SEGUE_HOME to where they are"
            )
        day = as_of or day_after_newest_event(marts)
        return cls(folder=here.training / f"{day}-{recipe}", marts=marts, as_of=day, recipe=recipe)

    def fit_folder(self, fit: str) -> Path:
        """Everything one fit writes.

        Raises:
            ValueError: `fit` is not one of FITS.
        """
        if fit not in FITS:
            raise ValueError(f"fit={fit!r} is unknown; choose one of {', '.join(FITS)}")
        return self.folder / fit

    def vocabulary_folder(self, fit: str) -> Path:
        """Where `training.prepare` puts the vocabulary of a fit."""
        return self.fit_folder(fit) / "vocabulary"

    def cache_folder(self, fit: str) -> Path:
        """Where what all models of a fit make of the marts is kept, under a name that only the same marts, listeners and code
        have. Recipes share it.
        """
        made_from = json.dumps([self.mart_hashes, self._sampling_inputs, code_hash(DATA_MODULE)], sort_keys=True)
        return self.folder.parent / CACHE_FOLDER / f"{fit}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"

    def model_folder(self, kind: str, fit: str, name: str) -> Path:
        """Where a fitted model is saved; `kind` is `channel`, `container`, `ranker` or `head`."""
        return self.fit_folder(fit) / f"{kind}s" / name

    def list_fitted(self, kind: str, fit: str, names: Iterable[str]) -> list[str]:
        """Which of the names are models that a fit holds, finished."""
        return [name for name in names if (self.model_folder(kind, fit, name) / INPUTS_FILE).exists()]

    def input_hash(self, kind: str, fit: str, name: str) -> str:
        """The hash of everything that a fitted model was made from."""
        return str(json.loads((self.model_folder(kind, fit, name) / INPUTS_FILE).read_text())["hash"])

    def channel_folder(self, fit: str, name: str) -> Path:
        """Where a fitted recall channel is saved."""
        return self.model_folder("channel", fit, name)

    def ranker_folder(self, fit: str, name: str) -> Path:
        """Where a fitted ranker is saved."""
        return self.model_folder("ranker", fit, name)

    @cached_property
    def mart_hashes(self) -> dict[str, str]:
        """Hash of every mart's rows (not of its bytes: row groups and compression may differ between runs). A file that is
        the very one of last time is not read again.
        """
        record = self.folder.parent / MART_HASHES_FILE
        known = json.loads(record.read_text()) if record.exists() else {}
        found = {}
        for path in sorted(self.marts.glob("*.parquet")):
            if path.stem != LANDINGS_MART:
                stat, last = path.stat(), known.get(str(path), {})
                file = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
                is_same = last.get("file") == file
                found[str(path)] = last if is_same else {"file": file, "hash": content_hash(path)}
        if found != known:
            write_json(record, found)
        return {Path(path).stem: one["hash"] for path, one in found.items()}

    @property
    def _sampling_inputs(self) -> dict[str, int]:
        """How many plays are held (`listeners.drawn`), where that is not all of them."""
        most = settings.load_settings().training_plays
        return {"most_plays": most} if pq.read_metadata(self.marts / "plays.parquet").num_rows > most else {}

    def inputs(self, **parts: Any) -> dict[str, Any]:
        """What an output depends on: the marts, `as_of`, the recipe's name, how many plays are held where that is not all
        of them, and `parts` (configs, fit, code), with their joint `hash`.
        """
        known: dict[str, Any] = {"as_of": self.as_of, "recipe": self.recipe, "marts": self.mart_hashes}
        known |= self._sampling_inputs
        known |= {
            name: asdict(part) if is_dataclass(part) and not isinstance(part, type) else part
            for name, part in parts.items()
        }
        return known | {"hash": hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()}


def day_after_newest_event(marts: Path) -> str:
    """The default `as_of`, YYYY-MM-DD.

    Raises:
        MissingInput: the event table is empty.
    """
    (newest,) = duckdb.execute("select max(ended_at) from read_parquet(?)", [str(marts / "events.parquet")]).fetchall()[
        0
    ]
    if newest is None:
        raise MissingInput(f"{marts / 'events.parquet'} has no events; land some logs and run `dbt build`")
    day: date = newest.date()
    return (day + timedelta(days=1)).isoformat()


def content_hash(path: Path) -> str:
    """Hash of a Parquet file's rows as a multiset: equal rows give an equal hash however the file was written."""
    query = "select count(*), sum(hash(mart)) from read_parquet(?) as mart"
    (rows, total), *_ = duckdb.execute(query, [str(path)]).fetchall()
    return hashlib.sha256(f"{rows}-{total}".encode()).hexdigest()[:16]


def is_unchanged(output: Path, inputs: dict[str, Any]) -> bool:
    """Whether `output` was finished from exactly these inputs."""
    record = output / INPUTS_FILE
    return record.exists() and json.loads(record.read_text()).get("hash") == inputs["hash"]


def mark_done(output: Path, inputs: dict[str, Any]) -> None:
    """Record what `output` was made from: the last step of a task, atomic, so that a killed task is never taken for a
    finished one.
    """
    write_json(output / INPUTS_FILE, inputs)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.writing")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")
    temporary.replace(path)
