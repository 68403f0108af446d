"""Opening the Feast store with the environment variables that its YAML requires.

Independent of sequences.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from config import settings
from config.tool_environment import tool_environment
from storage import object_store

if TYPE_CHECKING:
    from feast import FeatureStore

FEATURE_REPOSITORY = settings.ROOT / "feature_repo"


def local_marts_folder() -> Path:
    """Local folder of the published marts: `SEGUE_MARTS` if set, else the default of the settings.

    Raises:
        SettingError: `SEGUE_MARTS` is on object storage but `SEGUE_TABLES` is not.
    """
    current = settings.load_settings()
    marts = current.local_marts
    if current.tables_url or not marts:
        return object_store.fetch_marts(current)
    if marts.startswith(settings.OBJECT_STORE_SCHEME):
        raise settings.SettingError(
            f"SEGUE_MARTS={marts!r} is not a folder; set SEGUE_TABLES to the parent folder of `marts`"
        )
    return Path(marts).resolve()


def open_store(repository: Path = FEATURE_REPOSITORY, redis_timeout_s: float | None = None) -> FeatureStore:
    """A new Feast store with separate connections, located by the settings.

    `redis_timeout_s` replaces the timeout of connecting to Redis and of each read from the connection.

    Do not share an instance between a writer and readers: Feast's SQLite store has one connection per instance, and a reader on
    that connection sees partially written rows.
    """
    current = settings.load_settings()
    for name, value in tool_environment(current).items():
        if (name.startswith("SEGUE_") or name == "FEAST_USAGE") and not os.environ.get(name):
            os.environ[name] = value
    current.feast.mkdir(parents=True, exist_ok=True)
    store: FeatureStore = import_feast().FeatureStore(
        repo_path=str(repository), fs_yaml_file=repository / "feature_store.yaml"
    )
    if current.online_store == "redis":
        configure_redis(store, redis_timeout_s)
    return store


def create_missing_tables(store: FeatureStore) -> None:
    """Create the online tables of registered views that a SQLite online store lacks."""
    views = store.list_batch_feature_views()
    store._get_provider().online_store.update(
        config=store.config,
        tables_to_delete=[],
        tables_to_keep=views,
        entities_to_delete=[],
        entities_to_keep=[],
        partial=True,
    )


def import_feast() -> Any:
    """The `feast` module, without two parts that take longer than the rest of the import.

    These are typeguard's instrumentation and torch, which Feast needs for `to_tensor` only and imports there. Has no
    effect if Feast is already imported.
    """
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = lambda target: target  # type: ignore[assignment]
    wrapper: Any = ModuleType("feast.torch_wrapper")
    wrapper.get_torch = lambda: importlib.import_module("torch")
    sys.modules.setdefault(wrapper.__name__, wrapper)
    try:
        import feast
    finally:
        typeguard.typechecked = checked
    return feast


def configure_redis(store: FeatureStore, timeout_s: float | None) -> None:
    """Set the timeout, and let the client retry only once, and only with a new connection.

    By default it repeats a command that timed out ten times with pauses, so that a request would wait for half a minute.
    """
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.retry import Retry

    if timeout_s is not None:
        # Of repeated options in the connection string, Feast uses the last one.
        options = f",socket_timeout={timeout_s:g},socket_connect_timeout={timeout_s:g}"
        store.config.online_store.connection_string += options
    online: Any = store._get_provider().online_store
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    online._get_client(store.config.online_store).set_retry(retry)
