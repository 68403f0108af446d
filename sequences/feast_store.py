"""Opening Feast's store with the environment that its YAML needs.

Knows nothing about sequences.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import settings
from storage import object_store

if TYPE_CHECKING:
    from feast import FeatureStore

FEATURE_REPOSITORY = settings.ROOT / "feature_repo"


def local_marts_folder() -> Path:
    """The folder of the published marts on this machine: `SEGUE_MARTS`, else the settings' own.

    Raises:
        SettingError: `SEGUE_MARTS` is on object storage, `SEGUE_TABLES` is not.
    """
    named, current = os.environ.get("SEGUE_MARTS"), settings.load_settings()
    if current.tables_url or not named:
        return object_store.fetch_marts(current)
    if named.startswith(settings.OBJECT_STORE_SCHEME):
        raise settings.SettingError(f"SEGUE_MARTS={named!r} is no folder; set SEGUE_TABLES to what `marts` is below")
    return Path(named).resolve()


def published_marts() -> Path:
    """Where the marts are published, which Feast knows them by: the same, or a folder on object storage."""
    current = settings.load_settings()
    return current.marts if current.tables_url else local_marts_folder()


def require_absolute_home(home: str | None) -> str | None:
    """`${SEGUE_HOME}` in the repository's YAML: Feast leaves an unset variable as it stands, and takes a relative path
    from the repository's folder.

    Raises:
        ValueError: it is not an absolute path.
    """
    if home is not None and not Path(home).is_absolute():
        raise ValueError(f"SEGUE_HOME is {home!r}; export it as an absolute path, for instance SEGUE_HOME=$PWD/var")
    return home


def open_store(repository: Path = FEATURE_REPOSITORY) -> FeatureStore:
    """A Feast store of its own connections, placed by the settings.

    Do not share one between a writer and a reader thread pool: Feast's SQLite store has one connection an instance, and
    on one connection a reader sees half of a writer's row.
    """
    current = settings.load_settings()
    for name, value in settings.tool_environment(current).items():
        if name.startswith("SEGUE_") or name == "FEAST_USAGE":
            os.environ.setdefault(name, value)
    current.feast.mkdir(parents=True, exist_ok=True)
    store: FeatureStore = import_feast().FeatureStore(
        repo_path=str(repository), fs_yaml_file=repository / current.feature_store_yaml
    )
    _enable_wal(store)
    return store


def import_feast() -> Any:
    """Feast, whose classes are not made anew to check how their methods are called, where it was not imported before: that
    takes longer than all the rest of the import.
    """
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = lambda target: target  # type: ignore[assignment]
    try:
        import feast
    finally:
        typeguard.typechecked = checked
    return feast


def _enable_wal(store: FeatureStore) -> None:
    """Puts an SQLite online store into WAL mode (the file remembers): a commit does not wait for readers."""
    if store.config.online_store.type != "sqlite":
        return
    path = Path(store.config.online_store.path)
    path = path if path.is_absolute() else Path(store.repo_path or ".") / path
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("pragma journal_mode = wal")
    finally:
        connection.close()
