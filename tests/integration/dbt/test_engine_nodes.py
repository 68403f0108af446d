"""dbt loads the same models, seeds and tests with both engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from config import settings
from config.tool_environment import tool_environment
from tests.contract.config.test_engine_profiles import ROOT, settings_of
from tests.support import spark
from tests.support.tiers import acceptance_only


def dbt_nodes(home: Path, variables: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Node of dbt's manifest to its file and the text before macros are expanded."""
    command = [str(Path(sys.executable).parent / "dbt"), "parse", "--project-dir", "dbt", "--no-partial-parse"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    manifest = json.loads((home / "dbt" / "target" / "manifest.json").read_text())
    nodes = {**manifest["nodes"], **manifest["sources"], **manifest["macros"]}
    return {
        name: (node["original_file_path"], node.get("raw_code") or node.get("macro_sql") or "")
        for name, node in nodes.items()
        if node["package_name"] == "segue"
    }


@acceptance_only  # tests/integration/dbt/test_spark_marts.py builds the models with both engines
@spark.needs_spark
def test_dbt_loads_the_same_files_with_both_engines(tmp_path: Path) -> None:
    base = {"PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}
    nodes = {
        engine: dbt_nodes(tmp_path / engine, base | tool_environment(settings_of(tmp_path / engine, engine=engine)))
        for engine in settings.ENGINES
    }
    assert nodes["spark"] == nodes["duckdb"]
    assert len(nodes["spark"]) > 100
