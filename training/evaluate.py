"""`python -m training.evaluate`: measure the held-out models against memories and baselines, and choose what is served.

Fusion weights, the ranker, its share of the order and the baselines are chosen on validation; test is scored once. Writes
`$SEGUE_HOME/reports/evaluation.json` and `.html`, and into the workspace's `evaluation/` the choices (`fusion.json`,
`blend.json`, `choice.json`), every prediction as Parquet, and the slate request by request, which the release's gate
reads.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from config import settings
from training.engine.import_closure import code_hash
from training.engine.process_memory import peak_mb
from training.engine.tracking import open_experiment
from training.engine.workspace import MissingInput, Workspace, is_unchanged, mark_done, write_json
from training.evaluation.baselines import heuristics
from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.collection_evaluation import measure_collections
from training.evaluation.held_out_models import HeldOutModels, list_fitted_models
from training.evaluation.model_selection import choose
from training.evaluation.ranking_evaluation import measure_ranking
from training.evaluation.recall_evaluation import measure_recall
from training.evaluation.report import page
from training.evaluation.result import Result
from training.evaluation.serving_filter import ServingFilter
from training.recipes import RECIPES, recipe

JSON_FILE, HTML_FILE = "evaluation.json", "evaluation.html"


def evaluate(workspace: Workspace) -> bool:
    """Measure, choose, report; False when that was done already for the same models.

    Raises:
        MissingInput: no channel was trained.
    """
    folder, inputs = workspace.folder / "evaluation", evaluation_inputs(workspace)
    if is_unchanged(folder, inputs):
        publish_reports(folder)
        return False
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    held_out = HeldOutModels.open(workspace)
    servable = ServingFilter.from_data(held_out.data)
    choice = choose(held_out, servable)
    choice.fusion.save(folder / "fusion.json")
    choice.blend.save(folder / "blend.json")
    write_json(folder / "choice.json", {"ranker": choice.ranker, **choice.notes})
    print(
        f"chosen on validation: {choice.fusion.format_summary()}; ranker {choice.ranker}, blend {choice.blend.weight}"
    )

    result = Result(workspace.as_of, read_split(workspace.marts))
    result.notes["chosen"] = {
        "fusion": asdict(choice.fusion),
        "ranker": choice.ranker,
        "blend": asdict(choice.blend),
        **choice.notes,
    }
    cases = held_out.data.recall_cases("test")
    measure_recall(held_out, servable, choice, cases, result, folder)
    measure_ranking(held_out, choice.ranker, choice.task_weights, result, folder)
    result.notes["containers"] = measure_collections(held_out)
    add_comparison_pairs(result, held_out)
    result.notes["seconds"] = round(time.monotonic() - began, 1)
    result.notes["peak_mb"] = peak_mb()
    write_json(folder / JSON_FILE, result.to_json())
    (folder / HTML_FILE).write_text(page.render_page(result.to_json()))
    publish_reports(folder)
    log_run(result, folder)
    mark_done(folder, inputs)
    print(format_summary(result))
    return True


def evaluation_inputs(workspace: Workspace) -> dict[str, Any]:
    """What an evaluation depends on: marts, the held-out models' own inputs, the code that measures."""
    return workspace.inputs(code=code_hash("training.evaluate"), models=model_input_hashes(workspace, "held_out"))


def model_input_hashes(workspace: Workspace, fit: str) -> dict[str, str]:
    """`channel/NAME`, `container/NAME`, `ranker/NAME` or `head/NAME` → hash of everything the model was made from."""
    return {
        f"{kind}/{name}": workspace.input_hash(kind, fit, name)
        for kind in ("channel", "container", "ranker", "head")
        for name in list_fitted_models(workspace, fit, kind)
    }


def add_comparison_pairs(result: Result, held_out: HeldOutModels) -> None:
    """Which differences are worth an interval: fused and channels against the best memory and the best baseline of
    discoveries, served against fused, ranker by ranker.
    """
    known = [name for name in heuristics.HEURISTIC_BASELINES if name in result.recall]
    best, best_channel = _best_by_recall(known, "all", result), _best_by_recall(held_out.channels, "all", result)
    discoverer = _best_by_recall([*BASELINES, *known], "reachable", result)
    result.notes |= {"best_memory": best, "best_channel": best_channel, "best_discoverer": discoverer}
    result.pairs = [("fused", name) for name in (*known, *BASELINES, best_channel)]
    result.pairs += [(name, other) for name in held_out.channels for other in (best, discoverer)]
    result.pairs += [("served", name) for name in ("fused", *known)] + [("ranker", "fused")]
    ladder = list(result.ranking)
    result.pairs += [(ladder[high], ladder[low]) for high in range(len(ladder)) for low in range(high)]
    result.pairs = [pair for pair in dict.fromkeys(result.pairs) if pair[0] != pair[1] and result._difference(*pair)]


def _best_by_recall(names: Iterable[str], part: str, result: Result) -> str:
    """Who has the highest recall@200 of `part`."""
    return max(names, key=lambda name: np.nan_to_num(result.recall[name]["recall_at_200"][part].value))


def read_split(marts: Path) -> str:
    """How the marts are split: `user_time` or `global_time`."""
    (value,) = pl.read_parquet(marts / "train_cuts.parquet")["split"].to_list()
    return str(value)


def publish_reports(folder: Path) -> None:
    """Put the reports of a finished evaluation where people look."""
    reports = settings.load_settings().reports
    reports.mkdir(parents=True, exist_ok=True)
    for name in (JSON_FILE, HTML_FILE):
        shutil.copyfile(folder / name, reports / f"{name}.writing")
        (reports / f"{name}.writing").replace(reports / name)


def log_run(result: Result, folder: Path) -> None:
    """One MLflow run with every figure and both reports."""
    here = settings.load_settings()
    here.mlflow.mkdir(parents=True, exist_ok=True)
    known = settings.tool_environment(here)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, known[name])
    import mlflow

    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or known["MLFLOW_TRACKING_URI"])
    open_experiment()
    with mlflow.start_run(run_name=f"evaluation-{folder.parent.name}"):
        chosen = result.notes["chosen"]
        mlflow.log_params(
            {
                "as_of": result.as_of,
                "split": result.split,
                "ranker": chosen["ranker"],
                "blend": chosen["blend"]["weight"],
            }
        )
        mlflow.log_metrics(result.flat_metrics())
        for name in (JSON_FILE, HTML_FILE, "fusion.json", "blend.json"):
            mlflow.log_artifact(str(folder / name))


def format_summary(result: Result) -> str:
    """The figures to look at first, as lines."""
    lines = [f"{'recall':24} {'@50':>24} {'@200':>24}"]
    for name, table in result.recall.items():
        lines.append(
            f"  {name:22} {_format_interval(table['recall_at_50']['all'].interval())} "
            f"{_format_interval(table['recall_at_200']['all'].interval())}"
        )
    lines.append(f"{'slate':24} {'recall@30':>24} {'ndcg@10':>24}")
    for name, table in result.slate.items():
        lines.append(
            f"  {name:22} {_format_interval(table['recall_at_30']['all'].interval())} "
            f"{_format_interval(table['ndcg_at_10']['all'].interval())}"
        )
    lines.append(f"{'ranking':24} {'auc':>24} {'gauc':>24}")
    for name, tasks in result.ranking.items():
        for task, metrics in tasks.items():
            lines.append(
                f"  {name + ' ' + task:22} {_format_interval(metrics['auc'].interval())} {_format_interval(metrics['gauc'].interval())}"
            )
    lines.append(
        f"{result.notes['seconds']} s, {result.notes['peak_mb']:,} MB; {settings.load_settings().reports / HTML_FILE}"
    )
    return "\n".join(lines)


def _format_interval(interval: list[float]) -> str:
    return f"{interval[0]:8.4f} [{interval[1]:.4f}, {interval[2]:.4f}]"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Evaluate the workspace's held-out models")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    arguments = parser.parse_args()
    workspace = Workspace.open(arguments.as_of, recipe(arguments.recipe).name)
    # Two trainings run beside each other and share the cores; nothing runs beside this.
    torch.set_num_threads(os.cpu_count() or 1)
    if not evaluate(workspace):
        print(f"unchanged: {workspace.folder / 'evaluation'}")


if __name__ == "__main__":
    try:
        main()
    except MissingInput as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
