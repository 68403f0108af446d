"""Cache keys of code: a hash of every module that a result depends on, derived from imports, and of its data.

A fitted model, an evaluation or a cached array is reused only while the code that produced it is unchanged. Which code
that is follows from the imports, so nothing has to be listed by hand.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from config import settings

FEATURE_REPOSITORY = "feature_repo"
DATA_SUFFIXES = frozenset({".css", ".csv", ".html", ".json", ".svg", ".yaml"})
"""Files that modules read from their folder: tables, phrases, templates."""


def code_hash(*modules: str, root: Path = settings.ROOT) -> str:
    """Hash of the source of `modules`, of everything they import, of the feature definitions, and of data files.

    Feature definitions count because training reads them by name, through Feast's registry, and never imports them. Data
    files count if they are beside a module of the closure, or in a folder without modules there.

    Args:
        modules: Dotted names below `root`, for example `training.evaluate`.
        root: The source tree.

    Returns:
        16 hexadecimal digits; equal for equal names and bytes of the modules in the closure and of their data files.

    Raises:
        ModuleNotFoundError: one of `modules` is not below `root`.
    """
    definitions = (f"{FEATURE_REPOSITORY}.{path.stem}" for path in (root / FEATURE_REPOSITORY).glob("*.py"))
    closure = _read_closure((*modules, *definitions), root)
    contents = {name: source for name, (_, source) in closure.items()}
    for folder in {path.parent for path, _ in closure.values()} - {root, root / FEATURE_REPOSITORY}:
        contents |= {str(path.relative_to(root)): path.read_bytes() for path in _data_files(folder)}
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def import_closure(*modules: str, root: Path = settings.ROOT) -> dict[str, Path]:
    """The modules below `root` that `modules` import, directly or not, with `modules` themselves: name to file.

    Imports inside functions and under `TYPE_CHECKING` count. The `__init__` of a package counts only where something is
    imported from the package itself; otherwise each module of a package that lists all would depend on all others.

    Raises:
        ModuleNotFoundError: one of `modules` is not below `root`.
    """
    return {name: path for name, (path, _) in _read_closure(modules, root).items()}


def _read_closure(modules: Sequence[str], root: Path) -> dict[str, tuple[Path, bytes]]:
    """The modules of `import_closure`: name to file and source."""
    closure: dict[str, tuple[Path, bytes]] = {}
    to_visit = list(modules)
    while to_visit:
        name = to_visit.pop()
        if name in closure:
            continue
        path = _source(name, root)
        if path is None:
            raise ModuleNotFoundError(f"no module {name} in {root}; cache keys are made of modules that are there")
        source = path.read_bytes()
        closure[name] = path, source
        to_visit += (found for found in _imported(source, name, root) if found not in closure)
    return closure


@lru_cache(maxsize=1024)
def _data_files(folder: Path) -> tuple[Path, ...]:
    """The files with DATA_SUFFIXES in `folder` and in its subfolders without modules."""
    subfolders = [path for path in folder.iterdir() if path.is_dir() and not any(path.rglob("*.py"))]
    files = [*folder.iterdir(), *(file for subfolder in subfolders for file in subfolder.rglob("*"))]
    return tuple(path for path in files if path.suffix in DATA_SUFFIXES)


@lru_cache(maxsize=65536)
def _source(name: str, root: Path) -> Path | None:
    """The file of a module or package below `root`; None for a library, a namespace package or an attribute."""
    place = root.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@lru_cache(maxsize=4096)
def _imported(source: bytes, name: str, root: Path) -> tuple[str, ...]:
    """The modules below `root` that the import statements of module `name` refer to."""
    imported: list[str] = []
    for base, attributes in _import_statements(source):
        for parent in (base, _sibling(base, name, root)):
            found = [f"{parent}.{attribute}" for attribute in attributes]
            submodules = [name for name in found if _source(name, root)]
            imported += submodules
            if (len(submodules) < len(attributes) or not attributes) and _source(parent, root):
                imported.append(parent)
    return tuple(imported)


def _sibling(base: str, importer: str, root: Path) -> str:
    """Full name of `base` if it is a sibling of its importer in a folder without `__init__.py` (`feature_repo`)."""
    package = importer.rpartition(".")[0]
    is_package = _source(package, root) is not None if package else True
    return base if is_package else f"{package}.{base}"


def _import_statements(source: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """`(module, names)` of each import statement; without names for `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ImportError(
                    f"line {node.lineno}: relative import; import by the full name, which cache keys follow"
                )
            yield node.module, tuple(alias.name for alias in node.names)
