"""Workspace: folder of a training run, and cache keys that avoid repeating unchanged work.

`SEGUE_HOME/training/<as_of>-<recipe>/` holds one folder per fit (`held_out`, `final`) with `vocabulary/`,
`channels/<name>/`, `collections/<name>/`, `rankers/<name>/` and `heads/<name>/`. Every finished output contains
`inputs.json` with the hash of all its inputs; an output with an equal hash is reused.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

from config import settings
from recommender.ranking.registry import RANKERS
from recommender.ranking.task_weights import LISTWISE_HEAD
from recommender.recall.registry import CHANNELS, COLLECTIONS
from releases.format import FORMAT, MissingInput, OutdatedFormat
from sequences.behaviors import load_behaviors
from storage import object_store
from storage.files import read_json, write_json
from storage.mart_tables import TIME_SPLIT_MART
from training import CACHE_FOLDER
from training.recipes import recipe

INPUTS_FILE, RESOLVED_CONFIG_FILE, MEASURES_FILE = "inputs.json", "resolved_config.json", "measures.json"
"""Files of a fitted model: what it depends on, its hyperparameters after tuning, and its metrics and duration."""
HASHES_FILE = "hashes.json"
CODE_FOLDERS = ("sequences", "content", "recommender", "training")
"""Packages whose code and tables decide what a fit or an evaluation gives."""
TABLE_SUFFIXES = frozenset({".csv", ".json", ".yaml"})
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
MODELS: Mapping[str, Iterable[str]] = {
    "channel": CHANNELS,
    "collection": COLLECTIONS,
    "ranker": RANKERS,
    "head": (LISTWISE_HEAD,),
}
"""Names of the models of each kind; each kind comes after those that it is built on."""
RECIPES_FOLDER = "recipes"
"""Folder whose files are the configuration, which is an input of its own."""
LANDINGS_MART = "landings"
"""Mart with the provenance of the others.

It is not an input of any model: equal rows give equal models, no matter when they were landed.
"""


@dataclass(frozen=True)
class Workspace:
    """Paths and cache keys of one training run."""

    folder: Path
    marts: Path  # tables to learn from
    as_of: str  # YYYY-MM-DD
    recipe: str
    seed: int | None = None  # of all models; None: the seeds of their configs

    @classmethod
    def open(cls, as_of: str | None = None, recipe: str = "small") -> Workspace:
        """The workspace of a day and a recipe.

        Args:
            as_of: YYYY-MM-DD; None: the day after the newest event in the marts.
            recipe: Name of a recipe.

        Raises:
            MissingInput: the marts are missing, or have no events to derive `as_of` from.
            StorageError: the marts cannot be fetched.
            OutdatedFormat: the folder has files of another version.
        """
        config = settings.load_settings()
        marts = object_store.fetch_marts(config)
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
        """Folder of all outputs of a fit, one of FITS."""
        return self.folder / fit

    def vocabulary_folder(self, fit: str) -> Path:
        """Folder of the vocabulary of a fit, written by `training.prepare`."""
        return self.fit_folder(fit) / "vocabulary"

    def cache_folder(self, fit: str) -> Path:
        """Folder of the arrays that all models of a fit share, named by the hash of everything they depend on.

        Recipes share the folder.
        """
        return self.folder.parent / CACHE_FOLDER / f"{fit}-{_hash([self.data_version, self.code])[:12]}"

    def model_folder(self, kind: str, fit: str, name: str) -> Path:
        """Folder of a fitted model; `kind` is `channel`, `collection`, `ranker` or `head`."""
        return self.fit_folder(fit) / f"{kind}s" / name

    def list_fitted(self, kind: str, fit: str, names: Iterable[str] | None = None) -> list[str]:
        """Those of `names`, or of all models of the kind, that are completely fitted on the present marts."""
        records = {name: read_json(self.model_folder(kind, fit, name) / INPUTS_FILE) for name in names or MODELS[kind]}
        return [name for name, record in records.items() if record.get("data") == self.data_version]

    def input_hash(self, kind: str, fit: str, name: str) -> str:
        """Hash of all inputs of a fitted model."""
        return str(json.loads((self.model_folder(kind, fit, name) / INPUTS_FILE).read_text())["hash"])

    @cached_property
    def mart_hashes(self) -> dict[str, str]:
        """Hash of the rows of every mart, by name.

        Rows are hashed rather than bytes, since row groups and compression may differ between runs.
        """
        marts = [path for path in sorted(self.marts.glob("*.parquet")) if path.stem != LANDINGS_MART]
        return {path.stem: value for path, value in self._hashes("marts", marts, content_hash).items()}

    @cached_property
    def data_version(self) -> str:
        """Hash of everything that a fit reads: the rows of the marts, the behaviors and thresholds that Python reads from dbt,
        and the limit of plays in memory, if there are more (`training.data.plays`).

        The vocabulary depends on it: a model of another version has other codes for the same tracks.
        """
        max_plays = settings.load_settings().training_plays
        limit = max_plays if pq.read_metadata(self.marts / "plays.parquet").num_rows > max_plays else None
        return _hash([self.mart_hashes, asdict(load_behaviors()), limit])

    @cached_property
    def code(self) -> str:
        """Hash of the code and the tables of CODE_FOLDERS."""
        return _join_hashes(self._hashes("code", list_code(CODE_FOLDERS, settings.ROOT), source_hash), settings.ROOT)

    def _hashes(self, part: str, files: Iterable[Path], hash_file: Callable[[Path], str]) -> dict[Path, str]:
        """Hash of each file, computed again when its size, modification time or inode changes."""
        cache = read_json(self.folder.parent / HASHES_FILE)
        cached = cache.get(part, {})
        entries: dict[str, dict[str, Any]] = {}
        for path in files:
            stat, last = path.stat(), cached.get(str(path), {})
            file = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
            entries[str(path)] = last if last.get("file") == file else {"file": file, "hash": hash_file(path)}
        if cached != entries:
            write_json(self.folder.parent / HASHES_FILE, cache | {part: entries})
        return {Path(path): entry["hash"] for path, entry in entries.items()}

    def inputs(self, **configuration: Any) -> dict[str, Any]:
        """The three inputs that an output depends on, with their joint hash under `hash`: configuration, code and data.

        Args:
            configuration: Configs and names, besides `as_of` and the section `run` of the recipe; hashes of the models that the
                output is made of.
        """
        given = {name: asdict(part) if is_dataclass(part) else part for name, part in configuration.items()}  # type: ignore[arg-type]
        run = asdict(recipe(self.recipe))
        inputs = {"as_of": self.as_of, "run": run, "data": self.data_version, "code": self.code, **given}
        return inputs | {"hash": _hash(inputs)}


def code_hash(folders: Iterable[str], root: Path = settings.ROOT) -> str:
    """Hash of the modules and the tables of some folders."""
    return _join_hashes({path: source_hash(path) for path in list_code(folders, root)}, root)


def source_hash(path: Path) -> str:
    """Hash of a table, or of the syntax tree of a module: comments, docstrings and formatting do not change it."""
    content = path.read_bytes()
    if path.suffix == ".py":
        tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        content = ast.dump(tree).encode()
    return hashlib.sha256(content).hexdigest()


def _join_hashes(hashes: Mapping[Path, str], root: Path) -> str:
    return _hash({str(path.relative_to(root)): value for path, value in hashes.items()})[:16]


def list_code(folders: Iterable[str], root: Path) -> list[Path]:
    """The modules and tables of some folders, without recipes."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*"))
    return [
        path
        for path in paths
        if path.suffix == ".py" or (path.suffix in TABLE_SUFFIXES and path.parent.name != RECIPES_FOLDER)
    ]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def day_after_newest_event(marts: Path) -> str:
    """The default `as_of`, YYYY-MM-DD.

    Raises:
        MissingInput: the event table is empty.
    """
    newest = pl.scan_parquet(marts / "events.parquet").select(pl.col("ended_at").dt.date().max()).collect().item()
    if newest is None:
        raise MissingInput(f"{marts / 'events.parquet'} has no events; land some logs and run `dbt build`")
    return str(newest + timedelta(days=1))


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


def mark_done(output: Path, inputs: dict[str, Any]) -> None:
    """Write the inputs of a finished `output`: atomically and last, so that the output of a killed task is not reused."""
    write_json(output / INPUTS_FILE, inputs | {"format": FORMAT})
