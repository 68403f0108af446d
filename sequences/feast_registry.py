"""Feast's registry file, written atomically.

It has no path of a home: marts are registered as `marts/<name>.parquet`, and the offline stores read them where the settings say
(`sequences/offline/joined_views.py`). Online tables have no paths in the registry either: Feast makes a plan of them for its own
SQLite store only. So a copy of a home has its own tables.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig
from feast.utils import _utc_now

from storage import object_store


class HomeRegistryStore(FileRegistryStore):
    """The registry at `<home>/feast/registry.db`.

    Raises:
        ValueError: The path is not absolute: Feast does not replace an unset variable, and resolves a relative path against the
            repository's folder.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        if not Path(registry_config.path).is_absolute():
            raise ValueError(
                f"the registry is {registry_config.path!r}; export SEGUE_HOME as an absolute path, for instance "
                "SEGUE_HOME=$PWD/var"
            )
        super().__init__(registry_config, repo_path)

    def _write_registry(self, registry_proto: Any) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        object_store.write(self._filepath, registry_proto.SerializeToString())
