"""One setting changes the profile, and nothing but settings differs: both load the same files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import settings
from tests.support import spark

ROOT = settings.ROOT
ENGINE_OF_STORE = {
    "sequences.offline.duckdb_store.SequenceOfflineStore": "duckdb",
    "sequences.offline.spark.spark_store.SparkSequenceOfflineStore": "spark",
}


def here(home: Path, **chosen: Any) -> settings.Settings:
    return settings.Settings(home, "127.0.0.1", 1, 1, 1, 1, **chosen)


def nodes(home: Path, variables: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What dbt loads: node ▸ file and what stands in it, before the engine's words are put in."""
    command = [str(Path(sys.executable).parent / "dbt"), "parse", "--project-dir", "dbt", "--no-partial-parse"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    manifest = json.loads((home / "dbt" / "target" / "manifest.json").read_text())
    found = {**manifest["nodes"], **manifest["sources"], **manifest["macros"]}
    return {
        name: (node["original_file_path"], node.get("raw_code") or node.get("macro_sql") or "")
        for name, node in found.items()
        if node["package_name"] == "segue"
    }


@spark.needs_spark
def test_dbt_loads_the_same_files_with_the_same_text(tmp_path: Path) -> None:
    ours = {"PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}
    found = {
        engine: nodes(tmp_path / engine, ours | settings.tool_environment(here(tmp_path / engine, engine=engine)))
        for engine in settings.ENGINES
    }
    assert found["spark"] == found["duckdb"]
    assert len(found["spark"]) > 100


def test_no_model_seed_or_test_asks_for_the_engine() -> None:
    asks = re.compile(r"target\.type|adapter\.|spark|duckdb", re.IGNORECASE)
    files = [path for folder in ("models", "seeds", "tests") for path in (ROOT / "dbt" / folder).rglob("*.*")]
    assert [path.name for path in files if asks.search(path.read_text())] == []
    assert len(files) > 60


def test_feast_is_configured_for_every_engine_with_every_online_store() -> None:
    files = {}
    for engine in settings.ENGINES:
        for online_store in settings.ONLINE_STORES:
            name = here(ROOT, engine=engine, online_store=online_store).feature_store_yaml
            files[engine, online_store] = yaml.safe_load((ROOT / "feature_repo" / name).read_text())
    assert len({path.name for path in (ROOT / "feature_repo").glob("feature_store*.yaml")}) == len(files)
    for (engine, online_store), file in files.items():
        assert ENGINE_OF_STORE[file["offline_store"].pop("type")] == engine
        assert file["online_store"]["type"] == online_store
        assert file.pop("batch_engine", None) == ({"type": "spark.engine"} if engine == "spark" else None)
    assert files["spark", "redis"] == files["duckdb", "redis"]
    assert files["spark", "sqlite"] == files["duckdb", "sqlite"]


def test_feature_definitions_do_not_know_the_engine() -> None:
    files = list((ROOT / "feature_repo").glob("*.py"))
    assert [path.name for path in files if re.search("spark|SEGUE_ENGINE", path.read_text(), re.IGNORECASE)] == []
    assert len(files) > 5


def test_the_setting_reaches_every_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_HOME", "SPARK_LOCAL_IP", "PYSPARK_PYTHON", "PYSPARK_SUBMIT_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    assert "PYSPARK_SUBMIT_ARGS" not in settings.tool_environment(settings.load_settings())
    monkeypatch.setenv("SEGUE_ENGINE", "spark")
    monkeypatch.setenv("SEGUE_SPARK_MASTER", "spark://master:7077")
    monkeypatch.setenv("SEGUE_SPARK_MEMORY", "3g")
    variables = settings.tool_environment(settings.load_settings())
    assert variables["SEGUE_ENGINE"] == "spark"
    assert variables["FEAST_FS_YAML_FILE_PATH"].endswith("feature_store_spark.yaml")
    assert variables["PYSPARK_PYTHON"] == sys.executable
    told = variables["PYSPARK_SUBMIT_ARGS"]
    assert told.startswith("--master spark://master:7077 ")
    assert "spark.driver.memory=3g" in told
    assert "SPARK_LOCAL_IP" not in variables
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "mine")
    assert settings.tool_environment(settings.load_settings())["PYSPARK_SUBMIT_ARGS"] == "mine"


def test_an_unknown_engine_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_ENGINE", "flink")
    with pytest.raises(settings.SettingError, match="SEGUE_ENGINE='flink' is not one of duckdb, spark"):
        settings.load_settings()
