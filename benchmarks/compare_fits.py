"""`python -m benchmarks.compare_fits OLD_WORKSPACE NEW_WORKSPACE`: whether two training workspaces hold identical
models.

Shows that a refactoring changed nothing: fit the same recipe on the same marts before and after it, and compare. A
workspace is a folder SEGUE_HOME/training/<as_of>-<recipe>. Prints one line per model and exits 1 on any difference.

Compared, independent of the names of files, tensors, columns and keys:
- arrays of safetensors, npy, npz and parquet files (shape, type and bytes of each; a multiset per model),
- trees of LightGBM text files (without the names of features),
- numbers of `measures.json`, without durations and memory,
- for a model without arrays, the fractional numbers of its configuration, of which the old ones must be among the new.

`evaluation.json` is compared value by value, without durations and memory. Checkpoints, hashes of inputs and
configurations are not compared: they may change without the fitted model changing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from training.recipes import FITS

FOLDER_RENAMES = {"containers": "collections"}  # old name of a model kind or model → new name
KEY_RENAMES: dict[str, str] = {}  # old key of evaluation.json → new key
IGNORED_KEYS = frozenset({"seconds", "total_seconds", "peak_mb", "data_wait_share"})  # durations and memory
SAFETENSORS_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
Fingerprints = Counter[str]


def main(arguments: list[str] | None = None) -> int:
    """Compare two workspaces; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_fits", description=__doc__)
    parser.add_argument("old", type=Path, help="training workspace of the old revision")
    parser.add_argument("new", type=Path, help="training workspace of the new revision")
    options = parser.parse_args(arguments)
    for workspace in (options.old, options.new):
        if not any((workspace / fit).is_dir() for fit in FITS):
            parser.error(f"{workspace} is not a training workspace: it has no folder {' or '.join(FITS)}")
    different = 0
    for name, difference in compare_workspaces(options.old, options.new):
        different += bool(difference)
        print(f"{'DIFFERENT' if difference else 'identical'}  {name}{f': {difference}' if difference else ''}")
    print(f"{different} differences" if different else "no differences")
    return int(bool(different))


def compare_workspaces(old: Path, new: Path) -> Iterator[tuple[str, str]]:
    """(model or file, difference) pairs; the difference is empty where both sides are identical."""
    old_models, new_models = find_models(old), find_models(new)
    for name in sorted(old_models.keys() | new_models.keys()):
        if name not in old_models or name not in new_models:
            yield name, f"only in the {'old' if name in old_models else 'new'} workspace"
        else:
            yield name, compare_models(old_models[name], new_models[name])
    yield from _compare_evaluations(old / "evaluation", new / "evaluation")


def find_models(workspace: Path) -> dict[str, Path]:
    """Folder of every fitted model by `fit/kind/name`, and of the vocabulary of each fit."""
    folders = {}
    for fit in FITS:
        for measures in sorted((workspace / fit).glob("*/*/measures.json")):
            folders[measures.parent.relative_to(workspace)] = measures.parent
        if (vocabulary := workspace / fit / "vocabulary").is_dir():
            folders[vocabulary.relative_to(workspace)] = vocabulary
    return {"/".join(FOLDER_RENAMES.get(part, part) for part in path.parts): folder for path, folder in folders.items()}


def compare_models(old: Path, new: Path) -> str:
    """How the content of two model folders differs; empty if it does not."""
    old_content, new_content = _fingerprint_folder(old), _fingerprint_folder(new)
    differences = _describe_difference(old_content, new_content)
    old_measures, new_measures = (_measured_numbers(folder) for folder in (old, new))
    if old_measures != new_measures:
        missing, added = old_measures - new_measures, new_measures - old_measures
        differences.append(f"measures.json: {sorted(missing.elements())} became {sorted(added.elements())}")
    if not old_content and (lost := _config_numbers(old) - _config_numbers(new)):
        differences.append(f"configuration: {sorted(lost)} is missing")
    return "; ".join(differences)


def compare_values(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Every place in which two JSON values differ, without IGNORED_KEYS and with KEY_RENAMES applied to the old one."""
    if isinstance(old, dict) and isinstance(new, dict):
        old = {KEY_RENAMES.get(key, key): value for key, value in old.items()}
        for key in sorted((old.keys() | new.keys()) - IGNORED_KEYS):
            if key not in old or key not in new:
                yield f"{path}/{key}: only in the {'old' if key in old else 'new'} file"
            else:
                yield from compare_values(old[key], new[key], f"{path}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from compare_values(left, right, f"{path}[{position}]")
    elif not _equal(old, new):
        yield f"{path}: {old!r} became {new!r}"


def fingerprint_file(file: Path) -> Fingerprints:
    """Fingerprint of every array of a file; empty for a file that has none."""
    if file.suffix == ".safetensors":
        return Counter(_safetensors(file))
    if file.suffix == ".npy":
        return Counter([_array(np.load(file))])
    if file.suffix == ".npz":
        with np.load(file) as arrays:
            return Counter(_array(arrays[name]) for name in arrays.files)
    if file.suffix == ".parquet":
        return Counter(_column(column) for column in pl.read_parquet(file))
    if file.suffix == ".txt":
        return Counter([_trees(file.read_text())])
    return Counter()


def _compare_evaluations(old: Path, new: Path) -> Iterator[tuple[str, str]]:
    tables = {file.name for folder in (old, new) for file in folder.glob("*.parquet")}
    for name in sorted(tables):
        if not (old / name).exists() or not (new / name).exists():
            yield f"evaluation/{name}", f"only in the {'old' if (old / name).exists() else 'new'} workspace"
        else:
            found = _describe_difference(fingerprint_file(old / name), fingerprint_file(new / name))
            yield f"evaluation/{name}", "; ".join(found)
    files = [folder / "evaluation.json" for folder in (old, new)]
    if not all(file.exists() for file in files):
        yield "evaluation/evaluation.json", f"missing: {', '.join(str(file) for file in files if not file.exists())}"
        return
    places = list(compare_values(*(json.loads(file.read_text()) for file in files)))
    more = f"; and {len(places) - 10} more" if len(places) > 10 else ""
    yield "evaluation/evaluation.json", "; ".join(places[:10]) + more


def _fingerprint_folder(folder: Path) -> Fingerprints:
    """Fingerprints of all arrays below a model folder, without those of its checkpoints."""
    files = (file for file in sorted(folder.rglob("*")) if "checkpoints" not in file.relative_to(folder).parts)
    return sum((fingerprint_file(file) for file in files if file.is_file()), Counter())


def _describe_difference(old: Fingerprints, new: Fingerprints) -> list[str]:
    if old == new:
        return []
    gone, added = (
        sorted(label.rpartition(" ")[0] for label in (a - b).elements()) for a, b in ((old, new), (new, old))
    )
    return [f"{len(gone)} of {old.total()} arrays differ, old {_shorten(gone)}, new {_shorten(added)}"]


def _shorten(labels: list[str], most: int = 6) -> str:
    return ", ".join(labels[:most]) + (", ..." if len(labels) > most else "") if labels else "none"


def _safetensors(file: Path) -> Iterator[str]:
    """Fingerprint of each tensor, read from the file's header, which numpy could not do for bfloat16."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            kind = SAFETENSORS_TYPES.get(entry["dtype"], entry["dtype"])
            yield _fingerprint(kind, tuple(entry["shape"]), content[start + first : start + last])


def _array(array: np.ndarray) -> str:
    data = repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
    return _fingerprint(str(array.dtype), array.shape, data)


def _column(column: pl.Series) -> str:
    kind = pl.String if column.dtype in (pl.Categorical, pl.Enum) else column.dtype
    return _fingerprint(str(kind), (len(column),), repr(column.cast(kind).to_list()).encode())


def _trees(text: str) -> str:
    """Fingerprint of the trees of a LightGBM model: the text up to the importances, without the names of features."""
    trees = text.partition("end of trees")[0].splitlines()
    return _fingerprint("trees", (), "\n".join(x for x in trees if not x.startswith("feature_names=")).encode())


def _fingerprint(kind: str, shape: tuple[int, ...], data: bytes) -> str:
    return f"{kind}{list(shape)} {hashlib.sha256(data).hexdigest()}"


def _measured_numbers(folder: Path) -> Counter[float]:
    file = folder / "measures.json"
    return Counter(_numbers(json.loads(file.read_text()))) if file.exists() else Counter()


def _config_numbers(folder: Path) -> set[float]:
    files = (file for file in folder.glob("*.json") if file.name not in ("inputs.json", "measures.json"))
    return {number for file in files for number in _numbers(json.loads(file.read_text())) if number % 1}


def _numbers(value: Any) -> Iterator[float]:
    """All finite numbers of a JSON value, without those of IGNORED_KEYS."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in IGNORED_KEYS:
                yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        yield value


def _equal(old: Any, new: Any) -> bool:
    both_nan = isinstance(old, float) and isinstance(new, float) and math.isnan(old) and math.isnan(new)
    return both_nan or (type(old) is type(new) and bool(old == new))


if __name__ == "__main__":
    raise SystemExit(main())
