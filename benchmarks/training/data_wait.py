"""Share of a training step spent waiting for its batch, of all neural models in all recipes, on a simulated log.

`training_reads` is the largest share, which must stay under 0.1. Each model takes a few steps of its recipe in its own
process; the share is that of its training log (`training.engine.trainer.FitRecord.data_wait_share`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.result import Result, result_with_limit
from config import settings

LIMIT = 0.1
SIMULATION_ARGUMENTS = ("--users", "400", "--tracks", "4000", "--days", "20", "--seed", "1")


def run(steps: int) -> list[Result]:
    """Return one result per model and recipe, and the largest."""
    from training.recipes import RECIPES

    results = []
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "SEGUE_HOME": name}
        _build_features(Path(name), environment)
        for recipe in RECIPES:
            for kind in ("channel", "ranker"):
                for model in _names(kind):
                    share = _run_subprocess(environment, "measure", kind, model, recipe, str(steps))["share"]
                    if share is not None:
                        results.append(
                            result_with_limit(f"training_reads_{model}_{recipe}", "of step time", share, LIMIT)
                        )
    worst = max(results, key=lambda result: result.value)
    return [*results, replace(worst, name="training_reads")]


def _build_features(home: Path, environment: dict[str, str]) -> None:
    """Build a simulated log up to marts and registered features."""
    here = [sys.executable, "-m"]
    build = ["dbt", "build", "--quiet", "--project-dir", "dbt"]
    for command in (
        [*here, "ingestion.simulate", *SIMULATION_ARGUMENTS, "--out", str(home / "world")],
        [*here, "ingestion.land", str(home / "world"), "--home", str(home)],
        [*here, "local.environment", *build, "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"],
        [*here, "local.environment", "feast", "-c", "feature_repo", "apply"],
    ):
        done = subprocess.run(
            command,
            cwd=settings.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}"


def _names(kind: str) -> list[str]:
    from training.train import model_names

    return model_names(f"{kind}s")


def _run_subprocess(environment: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.training.data_wait", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=settings.ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def _measure(kind: str, name: str, recipe_name: str, steps: int) -> float | None:
    """Return the share of one model; None for a model without training steps."""
    from training.data.training_data import TrainingData
    from training.engine.config_io import change_config, field_paths
    from training.engine.trainer import FIT_RECORD_FILE
    from training.engine.workspace import Workspace
    from training.recipes import recipe
    from training.train import resolve_model

    workspace = Workspace.open(recipe=recipe_name)
    config, fit = resolve_model(kind, name, workspace, "held_out")
    # A channel with a given early stopping step does not validate during training.
    known = {"steps", "optimizer.steps", "training.steps", "validation.early_stopping_step"}.intersection(
        field_paths(config)
    )
    if not known:
        return None
    data = TrainingData(workspace.marts, "held_out", recipe(recipe_name))
    with tempfile.TemporaryDirectory() as folder:
        fit(data, change_config(config, dict.fromkeys(known, steps)), Path(folder))
        records = [json.loads(file.read_text()) for file in Path(folder).rglob(FIT_RECORD_FILE)]
    return max((record["data_wait_share"] for record in records), default=None)


def main() -> None:
    """Measure one model, in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure"])
    parser.add_argument("kind", choices=["channel", "ranker"])
    parser.add_argument("name")
    parser.add_argument("recipe")
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    print(json.dumps({"share": _measure(options.kind, options.name, options.recipe, options.steps)}))


if __name__ == "__main__":
    main()
