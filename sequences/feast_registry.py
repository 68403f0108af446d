"""Feast's registry file, independent of the location of the home folder.

Feast stores absolute paths of the marts in the registry, which would point to the original in a copy of a home. This store
writes paths relative to the home, and resolves them to the home of the registry file, also those that an earlier version
wrote. Online tables have no paths in the registry: Feast makes a plan of them for its own SQLite store only.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.FeatureView_pb2 import FeatureView
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView
from feast.repo_config import RegistryConfig
from feast.utils import _utc_now

from storage import object_store

HOME_PLACEHOLDER = "${SEGUE_HOME}"
MARTS_FOLDER = "marts"
VERSIONED_VIEWS: dict[str, Any] = {
    "feature_view": FeatureView,
    "stream_feature_view": StreamFeatureView,
    "on_demand_feature_view": OnDemandFeatureView,
}
"""Type of an earlier version of a view ▸ the message that its record holds as bytes."""


class HomeRegistryStore(FileRegistryStore):
    """The registry at `<home>/feast/registry.db`; written atomically.

    Paths of the marts are resolved to `SEGUE_MARTS`, or to `<home>/marts` without it.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._home = self._filepath.parent.parent

    def get_registry_proto(self) -> Registry:
        """The registry with the paths of this home.

        Raises:
            FileNotFoundError: `feast apply` has not run yet.
        """
        registry: Registry = super().get_registry_proto()
        _replace_paths(registry, self._resolve)
        return registry

    def _write_registry(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        stored = Registry()
        stored.CopyFrom(registry_proto)
        _replace_paths(stored, self._relative)
        object_store.write(self._filepath, stored.SerializeToString())

    def _relative(self, path: str) -> str:
        below_home = Path(path).is_absolute() and Path(path).is_relative_to(self._home)
        return f"{HOME_PLACEHOLDER}/{Path(path).relative_to(self._home).as_posix()}" if below_home else path

    def _resolve(self, path: str) -> str:
        if path.startswith(f"{HOME_PLACEHOLDER}/"):
            return str(self._home / path.removeprefix(f"{HOME_PLACEHOLDER}/"))
        if Path(path).is_absolute() and Path(path).parent.name == MARTS_FOLDER:
            return f"{os.environ.get('SEGUE_MARTS') or self._home / MARTS_FOLDER}/{Path(path).name}"
        return path


def _replace_paths(message: Any, replace: Callable[[str], str]) -> None:
    """Replace each path of a file in a message and the messages below it by `replace(path)`."""
    if message.DESCRIPTOR.name == "FileOptions" and message.uri:
        message.uri = replace(message.uri)
    if message.DESCRIPTOR.name == "FeatureViewVersionRecord" and message.feature_view_type in VERSIONED_VIEWS:
        view = VERSIONED_VIEWS[message.feature_view_type].FromString(message.feature_view_proto)
        _replace_paths(view, replace)
        message.feature_view_proto = view.SerializeToString()
    for part in _parts(message):
        _replace_paths(part, replace)


def _parts(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
            continue
        yield from value if hasattr(value, "append") or hasattr(value, "add") else [value]
