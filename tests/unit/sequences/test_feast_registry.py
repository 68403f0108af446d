"""Feast's registry in a copied or moved home: its paths are those of the home that contains it."""

from __future__ import annotations

from pathlib import Path

import pytest
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.FeatureView_pb2 import FeatureView
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from sequences.feast_registry import HomeRegistryStore


def store(home: Path, kind: type[FileRegistryStore] = HomeRegistryStore) -> FileRegistryStore:
    return kind(RegistryConfig(path=str(home / "feast" / "registry.db")), home)


def registry(home: Path) -> Registry:
    """A registry with absolute paths, as Feast makes it: a mart as a source, of two views and of an earlier version."""
    made = Registry()
    mart = str(home / "marts" / "events.parquet")
    made.data_sources.add().file_options.uri = mart
    made.feature_views.add().spec.batch_source.file_options.uri = mart
    made.feature_views.add().spec.stream_source.batch_source.file_options.uri = mart
    earlier = made.feature_view_version_history.records.add(feature_view_type="feature_view")
    earlier.feature_view_proto = made.feature_views[0].SerializeToString()
    return made


def paths(found: Registry) -> list[str]:
    first, second = found.feature_views
    return [
        found.data_sources[0].file_options.uri,
        first.spec.batch_source.file_options.uri,
        second.spec.stream_source.batch_source.file_options.uri,
        FeatureView.FromString(
            found.feature_view_version_history.records[0].feature_view_proto
        ).spec.batch_source.file_options.uri,
    ]


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of a home and that of its copy."""
    monkeypatch.delenv("SEGUE_MARTS", raising=False)
    for name in ("home", "copy"):
        (tmp_path / name / "feast").mkdir(parents=True)
    return tmp_path / "home", tmp_path / "copy"


@pytest.mark.parametrize("kind", [HomeRegistryStore, FileRegistryStore], ids=["this version", "an earlier version"])
def test_paths_are_those_of_the_home_of_the_file(homes: tuple[Path, Path], kind: type[FileRegistryStore]) -> None:
    home, copy = homes
    store(home, kind).update_registry_proto(registry(home))
    content = (home / "feast" / "registry.db").read_bytes()
    assert (str(home).encode() in content) == (kind is FileRegistryStore)
    (copy / "feast" / "registry.db").write_bytes(content)
    for folder in homes:
        assert paths(store(folder).get_registry_proto()) == paths(registry(folder))


def test_writing_does_not_change_the_registry_in_memory(homes: tuple[Path, Path]) -> None:
    home, _ = homes
    made = registry(home)
    store(home).update_registry_proto(made)
    assert paths(made) == paths(registry(home))
    assert made.version_id == store(home).get_registry_proto().version_id


def test_marts_outside_the_home_are_those_of_the_settings(
    homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = homes
    monkeypatch.setenv("SEGUE_MARTS", "/data/marts")
    made = registry(home)
    made.data_sources[0].file_options.uri = "s3://bucket/marts/events.parquet"
    made.feature_views[0].spec.batch_source.file_options.uri = "/elsewhere/marts/events.parquet"
    store(home).update_registry_proto(made)
    remote, foreign, own, _ = paths(store(home).get_registry_proto())
    assert remote == "s3://bucket/marts/events.parquet"
    assert foreign == "/data/marts/events.parquet"
    assert own == str(home / "marts" / "events.parquet")
