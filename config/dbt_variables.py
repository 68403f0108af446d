"""Reads the thresholds that dbt and Python share from the `vars` of `dbt/dbt_project.yml`, their only definition."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from config.settings import ROOT

DBT_FOLDER = ROOT / "dbt"


@lru_cache(maxsize=8)
def load_dbt_variables(dbt_folder: Path = DBT_FOLDER) -> dict[str, object]:
    """Variables of a dbt project by name, whether at the top level of `vars` or below the project's name."""
    import yaml

    project = yaml.safe_load((dbt_folder / "dbt_project.yml").read_text(encoding="utf-8"))
    variables = dict(project.get("vars") or {})
    for scope in list(variables.values()):
        if isinstance(scope, dict):
            variables.update(scope)
    return variables
