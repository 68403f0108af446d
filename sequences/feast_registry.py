"""Feast's registry file, written atomically.

It has no path of a home: marts are registered as `marts/<name>.parquet`, and the offline stores read them where the settings say
(`sequences/offline/joined_views.py`). Online tables have no paths in the registry either: Feast makes a plan of them for its own
SQLite store only. So a copy of a home has its own tables.
"""

from __future__ import annotations

import uuid
from typing import Any

from feast.infra.registry.file import FileRegistryStore
from feast.utils import _utc_now

from storage import object_store


class HomeRegistryStore(FileRegistryStore):
    """The registry at `<home>/feast/registry.db`."""

    def _write_registry(self, registry_proto: Any) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        object_store.write(self._filepath, registry_proto.SerializeToString())
