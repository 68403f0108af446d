"""Workspace: folder of a training run, and cache keys that avoid repeating unchanged work.

`SEGUE_HOME/training/<as_of>-<recipe>/` holds one folder per fit (`held_out`, `refit`, `final`) with `vocabulary/`,
`channels/<name>/`, `collections/<name>/`, `rankers/<name>/` and `heads/<name>/`. Every finished output contains
`inputs.json` with the hash of all its inputs; an output with an equal hash is reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from config import settings
from sequences.behaviours import load_behaviours
from storage import object_store
from storage.errors import StorageError
from storage.files import atomic_write, read_json
from training.engine.time_split import TIME_SPLIT_MART
from training.recipes import FITS

INPUTS_FILE, RESOLVED_CONFIG_FILE, MEASURES_FILE = "inputs.json", "resolved_config.json", "measures.json"
"""Files of a fitted model: what it depends on, its hyperparameters after tuning, and its metrics and duration."""
FORMAT = 7
"""Version of the files of a training workspace and of a release; files of another version are not read."""
CACHE_FOLDER, MART_HASHES_FILE = "kept", "mart_hashes.json"
DATA_INPUTS = ("marts", "most_plays", "behaviours")
"""Inputs on which the vocabulary depends: a model with others has other codes for the same tracks."""
CODE_FOLDERS = ("event_store", "feature_repo", "sequences", "training")
"""Packages whose code and data files decide what a fit or an evaluation gives."""
CODE_SUFFIXES = frozenset({".css", ".csv", ".html", ".json", ".py", ".svg", ".yaml"})
LANDINGS_MART = "landings"
"""Mart with the provenance of the others.

It is not an input of any model: equal rows give equal models, no matter when they were landed.
"""


class MissingInput(RuntimeError):
    """The output of an earlier task is missing; the message names it and the command that creates it."""


class OutdatedFormat(MissingInput):
    """Derived data of another version of Segue; the message names it and the command that removes it."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"{name} has format {version}, but this version of Segue reads format {FORMAT}; "
            "remove the derived data of the other version with `python -m local.migrate`"
        )


@dataclass(frozen=True)
class Workspace:
    """Paths and cache keys of one training run."""

    folder: Path
    marts: Path  # tables to learn from
    as_of: str  # YYYY-MM-DD
    recipe: str
    seed: int | None = None  # of all models; None: that of their configs

    @classmethod
    def open(cls, as_of: str | None = None, recipe: str = "small") -> Workspace:
        """The workspace of a day and a recipe.

        Args:
            as_of: YYYY-MM-DD; None: the day after the newest event in the marts.
            recipe: Name of a recipe.

        Raises:
            MissingInput: the marts are missing, cannot be fetched, or have no events to derive `as_of` from.
            OutdatedFormat: the folder has files of another version.
        """
        config = settings.load_settings()
        try:
            marts = object_store.fetch_marts(config)
        except StorageError as error:
            raise MissingInput(str(error)) from error
        for mart in ("plays", TIME_SPLIT_MART):
            if not (marts / f"{mart}.parquet").exists():
                raise MissingInput(
                    f"no mart {mart} in {config.marts}; run `dbt build --project-dir dbt` first, "
                    "or set SEGUE_HOME to the folder that has them"
                )
        day = as_of or day_after_newest_event(marts)
        check_format(config.training / f"{day}-{recipe}")
        return cls(folder=config.training / f"{day}-{recipe}", marts=marts, as_of=day, recipe=recipe)

    def with_seed(self, seed: int) -> Workspace:
        """The workspace of the same day and recipe whose models have another seed, in a folder beside this one."""
        return replace(self, folder=self.folder.with_name(f"{self.folder.name}-seed{seed}"), seed=seed)

    def fit_folder(self, fit: str) -> Path:
        """Folder of all outputs of a fit.

        Raises:
            ValueError: `fit` is not one of FITS.
        """
        if fit not in FITS:
            raise ValueError(f"fit={fit!r} is unknown; choose one of {', '.join(FITS)}")
        return self.folder / fit

    def vocabulary_folder(self, fit: str) -> Path:
        """Folder of the vocabulary of a fit, written by `training.prepare`."""
        return self.fit_folder(fit) / "vocabulary"

    def cache_folder(self, fit: str) -> Path:
        """Folder of the arrays that all models of a fit share, named by the hash of everything they depend on.

        Recipes share the folder.
        """
        inputs = [self.mart_hashes, self._sampling_inputs, behaviours_hash(), code_hash()]
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder.parent / CACHE_FOLDER / f"{fit}-{key}"

    def model_folder(self, kind: str, fit: str, name: str) -> Path:
        """Folder of a fitted model; `kind` is `channel`, `collection`, `ranker` or `head`."""
        return self.fit_folder(fit) / f"{kind}s" / name

    def list_fitted(self, kind: str, fit: str, names: Iterable[str]) -> list[str]:
        """Those of `names` whose model is completely fitted on the present marts."""
        now = self.inputs()
        return [name for name in names if is_of_same_data(self.model_folder(kind, fit, name), now)]

    def input_hash(self, kind: str, fit: str, name: str) -> str:
        """Hash of all inputs of a fitted model."""
        return str(json.loads((self.model_folder(kind, fit, name) / INPUTS_FILE).read_text())["hash"])

    def channel_folder(self, fit: str, name: str) -> Path:
        """Folder of a fitted recall channel."""
        return self.model_folder("channel", fit, name)

    def ranker_folder(self, fit: str, name: str) -> Path:
        """Folder of a fitted ranker."""
        return self.model_folder("ranker", fit, name)

    @cached_property
    def mart_hashes(self) -> dict[str, str]:
        """Hash of the rows of every mart, by name.

        Rows are hashed rather than bytes, since row groups and compression may differ between runs. Hashes are cached
        by size, modification time and inode of the file.
        """
        cache = self.folder.parent / MART_HASHES_FILE
        cached = read_json(cache)
        hashes = {}
        for path in sorted(self.marts.glob("*.parquet")):
            if path.stem != LANDINGS_MART:
                stat, last = path.stat(), cached.get(str(path), {})
                file = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
                is_same = last.get("file") == file
                hashes[str(path)] = last if is_same else {"file": file, "hash": content_hash(path)}
        if hashes != cached:
            write_json(cache, hashes)
        return {Path(path).stem: entry["hash"] for path, entry in hashes.items()}

    @property
    def _sampling_inputs(self) -> dict[str, int]:
        """The limit of plays in memory, if there are more plays than that (`training.data.user_sampling`)."""
        max_plays = settings.load_settings().training_plays
        return {"most_plays": max_plays} if pq.read_metadata(self.marts / "plays.parquet").num_rows > max_plays else {}

    def inputs(self, **parts: Any) -> dict[str, Any]:
        """Everything that an output depends on, with the joint hash under `hash`.

        Args:
            parts: Inputs besides `as_of`, the recipe, the marts, the code, the table of behaviors and the limit of plays:
                configs, fit.
        """
        inputs: dict[str, Any] = {"as_of": self.as_of, "recipe": self.recipe, "marts": self.mart_hashes}
        inputs |= self._sampling_inputs | {"behaviours": behaviours_hash(), "code": code_hash()}
        inputs |= {
            name: asdict(part) if is_dataclass(part) and not isinstance(part, type) else part
            for name, part in parts.items()
        }
        return inputs | {"hash": hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()}


@cache
def code_hash(folders: tuple[str, ...] = CODE_FOLDERS, root: Path = settings.ROOT) -> str:
    """Hash of the modules and data files of some folders, as they are at the first call."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*")):
        if path.suffix in CODE_SUFFIXES:
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def behaviours_hash() -> str:
    """Hash of the behaviors and thresholds that Python reads from dbt (`sequences.behaviours`)."""
    table = json.dumps(asdict(load_behaviours()), sort_keys=True)
    return hashlib.sha256(table.encode()).hexdigest()[:16]


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
    """Hash of a Parquet file's rows as a multiset, independent of their order and of the file's layout."""
    query = "select count(*), sum(hash(mart)) from read_parquet(?) as mart"
    (rows, total), *_ = duckdb.execute(query, [str(path)]).fetchall()
    return hashlib.sha256(f"{rows}-{total}".encode()).hexdigest()[:16]


def check_format(folder: Path) -> None:
    """Check that all finished outputs of a workspace have the current FORMAT; an absent workspace is valid.

    Raises:
        OutdatedFormat: An output has another format.
    """
    for record in (folder / INPUTS_FILE, *sorted(folder.glob(f"*/*/*/{INPUTS_FILE}"))):
        if record.exists() and (version := json.loads(record.read_text()).get("format", 1)) != FORMAT:
            raise OutdatedFormat(f"training workspace {folder}", version)


def is_unchanged(output: Path, inputs: dict[str, Any]) -> bool:
    """Whether `output` is finished and was made from the same inputs."""
    return bool(read_json(output / INPUTS_FILE).get("hash") == inputs["hash"])


def is_of_same_data(output: Path, inputs: dict[str, Any]) -> bool:
    """Whether `output` is finished and its DATA_INPUTS are those of `inputs`; other inputs may differ."""
    found = read_json(output / INPUTS_FILE)
    return bool(found) and all(found.get(name) == inputs.get(name) for name in DATA_INPUTS)


def mark_done(output: Path, inputs: dict[str, Any]) -> None:
    """Write the inputs of a finished `output`: atomically and last, so that the output of a killed task is not reused."""
    write_json(output / INPUTS_FILE, inputs | {"format": FORMAT})


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    atomic_write(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", is_contended=True)
