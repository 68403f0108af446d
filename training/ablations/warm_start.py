"""Warm start against cold fits, day by day: processor time and validation objective of every model that can be continued.

Two homes build the marts of DAYS consecutive days from the same landed events and fit the models on the train part, one with
`SEGUE_WARM_START_DAYS=0`, one with 7. Every seventh day, from the first one on, is cold in both. Differences are paired by model
and day.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from config import settings
from config.tool_environment import tool_environment
from training.engine.import_closure import code_hash
from training.engine.workspace import MEASURES_FILE, MissingInput, Workspace, write_json
from training.evaluation.metrics import bootstrap
from training.train import model_names, producer_modules, resolve_model, supports_warm_start

NAME = "warm_start"
DAYS = 10
VARIANTS = {"cold": 0, "warm": 7}
"""Variant ▸ `SEGUE_WARM_START_DAYS`."""


@dataclass(frozen=True)
class DayResult:
    """One fit of one model on one day by both variants."""

    day: str
    model: str
    processor: dict[str, float]  # variant ▸ processor seconds
    objective: dict[str, float]  # variant ▸ validation objective, higher is better


def report(workspace: Workspace, folder: Path) -> str:
    """Fit the models of the last days; return the table as Markdown.

    A finished day is not fitted again while the code, the configs, the marts and the settings are the same.

    Raises:
        MissingInput: The home has no landed events on the local disk.
    """
    here = settings.load_settings()
    if here.tables_url or not (here.landing / "listening_events").is_dir():
        raise MissingInput(
            f"{here.landing} has no landed events on a local disk; unset SEGUE_TABLES and land logs: make pipeline LOGS=PATH"
        )
    models = [
        (kind, name)
        for kind in ("channel", "ranker")
        for name in model_names(f"{kind}s", workspace.recipe)
        if supports_warm_start(resolve_model(kind, name, workspace, "held_out")[0])
    ]
    configs = {name: asdict(resolve_model(kind, name, workspace, "held_out")[0]) for kind, name in models}
    code = code_hash(__name__, *(module for model in models for module in producer_modules(*model)))
    key = workspace.inputs(code=code, configs=configs, variants=VARIANTS)["hash"][:12]
    last = date.fromisoformat(workspace.as_of)
    results = []
    for day in [last - timedelta(days=number) for number in reversed(range(DAYS))]:
        file = folder / f"{day}-{workspace.recipe}-{key}.json"
        if not file.exists():
            write_json(file, _fit_day(here, folder, str(day), workspace.recipe, models))
        results += [DayResult(**row) for row in json.loads(file.read_text())]
    return render(results, workspace.recipe)


def render(results: Sequence[DayResult], recipe: str) -> str:
    """The table as Markdown; days that are cold in both variants are left out."""
    first = date.fromisoformat(min(result.day for result in results))
    later = [result for result in results if (date.fromisoformat(result.day) - first).days % VARIANTS["warm"]]
    lines = [
        f"# Warm start against cold fits, recipe `{recipe}`, validation part",
        "",
        f"`make ablation ABLATION={NAME}`, {len({result.day for result in later})} days with warm fits. Seconds of a core "
        "and the objective of early stopping, means over days; differences with 95 % intervals over days.",
        "",
        "| model | cold, s | warm, s | warm / cold | cold objective | warm objective | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in dict.fromkeys(result.model for result in later):
        rows = [result for result in later if result.model == model]
        cold_s, warm_s = (float(np.mean([row.processor[name] for row in rows])) for name in VARIANTS)
        cold, warm = (np.array([row.objective[name] for row in rows]) for name in VARIANTS)
        difference, low, high = bootstrap.mean(warm - cold).interval()
        lines.append(
            f"| {model} | {cold_s:.1f} | {warm_s:.1f} | {warm_s / cold_s:.2f} | {cold.mean():.4f} | {warm.mean():.4f} "
            f"| {difference:+.4f} ({low:+.4f} to {high:+.4f}) |"
        )
    return "\n".join(lines) + "\n"


def _fit_day(
    here: settings.Settings, folder: Path, day: str, recipe: str, models: Sequence[tuple[str, str]]
) -> list[dict[str, object]]:
    processor: dict[str, dict[str, float]] = {name: {} for _, name in models}
    objective: dict[str, dict[str, float]] = {name: {} for _, name in models}
    for variant, days in VARIANTS.items():
        home = folder / variant
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "landing").exists():
            (home / "landing").symlink_to(here.landing, target_is_directory=True)
        at_home = replace(here, home=home, warm_start_days=days)
        variables = os.environ | tool_environment(at_home) | {"SEGUE_WARM_START_DAYS": str(days)}
        programs = Path(sys.executable).parent
        dates = ["--as-of", day, "--recipe", recipe]
        _run([str(programs / "dbt"), "build", "--project-dir", "dbt", "--exclude-resource-type", "unit_test",
              "--vars", json.dumps({"as_of": day})], variables)  # fmt: skip
        _run([str(programs / "feast"), "-c", "feature_repo", "apply"], variables)
        workspace = Workspace(home / "training" / f"{day}-{recipe}", home / "marts", day, recipe)
        shutil.rmtree(workspace.folder, ignore_errors=True)  # a model of an earlier run would take no time
        _run([sys.executable, "-m", "training.prepare", *dates], variables)
        for kind, name in models:
            processor[name][variant] = _run([sys.executable, "-m", "training.train", kind, name, *dates], variables)
            measures = json.loads((workspace.model_folder(kind, "held_out", name) / MEASURES_FILE).read_text())
            objective[name][variant] = _best_objective(measures)
        shutil.rmtree(home / "training" / "kept", ignore_errors=True)
    return [
        {"day": day, "model": name, "processor": processor[name], "objective": objective[name]} for _, name in models
    ]


def _best_objective(measures: dict[str, object]) -> float:
    """The best validation value of a fit: of channels a sum of recalls, of rankers the negative loss."""
    history = measures["history"] if "history" in measures else measures["validation"]
    assert isinstance(history, list)  # noqa: S101
    return max((float(row["value"]) for row in history), default=float("nan"))


def _run(command: Sequence[str], variables: dict[str, str]) -> float:
    """Run a command in the repository; returns its processor seconds.

    Raises:
        MissingInput: It failed; the message has the end of its output.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=settings.ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingInput(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
