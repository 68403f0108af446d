"""The engine and the online store are chosen by settings only: all profiles load the same dbt and Feast files."""

from __future__ import annotations

from pathlib import Path

import pytest
from feast.repo_config import load_repo_config

from config import settings
from config.tool_environment import tool_environment
from tests.support import spark

ROOT = settings.ROOT
STORES = {
    "duckdb": ("sequences.offline.duckdb_store.SequenceOfflineStore", "local"),
    "spark": ("sequences.offline.spark.spark_store.SparkSequenceOfflineStore", "spark.engine"),
    "sqlite": "sequences.online.online_stores.SequenceSqliteOnlineStore",
    "redis": "sequences.online.online_stores.SequenceRedisOnlineStore",
}


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("spark", marks=spark.needs_spark)])
@pytest.mark.parametrize("online_store", settings.OnlineStoreKind.__args__)
def test_one_feast_file_serves_every_engine_and_online_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str, online_store: str
) -> None:
    (file,) = (settings.ROOT / "feature_repo").glob("*.yaml")
    redis = "localhost:1,password=a$b"
    here = settings.Settings(home=tmp_path, engine=engine, online_store=online_store, redis=redis)
    for name, value in tool_environment(here).items():
        monkeypatch.setenv(name, value)
    config = load_repo_config(file.parent, file)
    assert config.online_config["type"] == config.online_store.type == STORES[online_store]
    assert (config.offline_config["type"], config.batch_engine_config["type"]) == STORES[engine]
    if online_store == "redis":
        assert config.online_store.connection_string.startswith(f"{redis},socket_timeout=")
        assert config.online_store.skip_dedup
    else:
        assert config.online_store.path == str(tmp_path / "feast" / "online.db")
