"""`python -m training.evaluate`: evaluate the held-out models against baselines and select what is served.

Fusion weights, ranker, blend weight and baselines are selected on validation; the test part is scored once. Writes
`$SEGUE_HOME/reports/evaluation.json` and `.html`, and into the workspace's `evaluation/` the selection (`fusion.json`,
`blend.json`, `continuation.json`, `choice.json`), all predictions as Parquet, and slate metrics per request for the release gate.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from config import settings
from config.command_line import end_process, report_errors
from recommender.ranking.task_weights import DEFAULT_TASK
from releases.format import MissingInput
from storage.errors import StorageError
from storage.files import atomic_write, write_json
from storage.mart_tables import read_time_split
from training.data.training_data import TrainingData
from training.evaluation.baselines.tuned import BASELINES, HEURISTIC_BASELINES
from training.evaluation.continuation_tuning import tune_continuation
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.model_selection import choose
from training.evaluation.ranking_evaluation import measure_ranking
from training.evaluation.recall_evaluation import measure_collections, measure_recall
from training.evaluation.report import page
from training.evaluation.report.charts import format_interval
from training.evaluation.report.verdicts import gate_baseline
from training.evaluation.result import Result
from training.evaluation.search_quality import measure_catalog
from training.evaluation.serving_filter import ServingFilter
from training.mlflow_tracking import log_metrics, track_run
from training.process import configure_threads, peak_bytes
from training.recipes import add_workspace_arguments
from training.workspace import INPUTS_FILE, MODELS, Workspace, is_unchanged, mark_done

JSON_FILE, HTML_FILE = "evaluation.json", "evaluation.html"


def evaluate(workspace: Workspace) -> bool:
    """Evaluate, select and report; False if the existing evaluation has the same inputs.

    Results of a workspace with a seed of its own stay there.

    Raises:
        MissingInput: no channel was fitted.
    """
    folder, inputs = workspace.folder / "evaluation", evaluation_inputs(workspace)
    is_reported = workspace.seed is None
    if is_unchanged(folder, inputs):
        if is_reported:
            publish_reports(folder)
        return False
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    held_out = HeldOutModels.open(workspace)
    servable = ServingFilter.from_data(held_out.data)
    choice = choose(held_out, servable)
    (folder / INPUTS_FILE).unlink(missing_ok=True)  # if killed from here on, the files are of two evaluations
    choice.fusion.save(folder / "fusion.json")
    choice.blend.save(folder / "blend.json")
    continuation = tune_continuation(held_out)
    continuation.save(folder / "continuation.json")
    write_json(folder / "choice.json", {"ranker": choice.ranker, **choice.notes})
    print(f"selected on validation: ranker {choice.ranker}, blend {choice.blend.weight}; weights are in {folder}")

    result = Result(workspace.as_of, read_time_split(workspace.marts)["split"])
    result.notes["chosen"] = {
        "fusion": asdict(choice.fusion),
        "ranker": choice.ranker,
        "blend": asdict(choice.blend),
        "continuation": asdict(continuation),
        **choice.notes,
    }
    measure_recall(held_out, servable, choice, held_out.data.recall_cases("test"), result, folder)
    measure_ranking(held_out, result, folder)
    result.notes["containers"] = measure_collections(held_out)
    add_comparison_pairs(result, held_out)
    result.notes["is_own_catalog"] = is_own_catalog(held_out.data)
    result.notes["search"] = measure_catalog(held_out.data)
    result.notes["seconds"] = round(time.monotonic() - began, 1)
    result.notes["peak_mb"] = peak_bytes() >> 20
    content = result.to_json()
    content["gate_baseline"] = gate_baseline(content)
    write_json(folder / JSON_FILE, content)
    atomic_write(folder / HTML_FILE, page.render_page(content))
    if is_reported:
        publish_reports(folder)
        log_headlines(result, workspace)
    mark_done(folder, inputs)
    print(f"{result.notes['seconds']} s, {result.notes['peak_mb']:,} MB; {folder / HTML_FILE}")
    return True


def evaluation_inputs(workspace: Workspace) -> dict[str, Any]:
    """Inputs of an evaluation: the marts, the code and the inputs of the held-out models."""
    return workspace.inputs(models=model_input_hashes(workspace, "held_out"))


def model_input_hashes(workspace: Workspace, fit: str) -> dict[str, str]:
    """Hash of the inputs of each fitted model, by `channel/NAME`, `collection/NAME`, `ranker/NAME` or `head/NAME`."""
    return {
        f"{kind}/{name}": workspace.input_hash(kind, fit, name)
        for kind in MODELS
        for name in workspace.list_fitted(kind, fit)
    }


def is_own_catalog(data: TrainingData) -> bool:
    """Whether the log is of one user, who has played every track of the catalog: nothing in it can be discovered."""
    is_played_V = np.isin(np.arange(len(data.catalog_V)), data.plays.track_P)
    return len(data.user_ids_U) == 1 and bool(is_played_V[data.catalog_V].all())


def add_comparison_pairs(result: Result, held_out: HeldOutModels) -> None:
    """Add the pairs whose metric differences are reported with confidence intervals.

    These are fused and channels against the best heuristic and the best baseline on discoveries, served against fused
    and against served without a cap per artist, and every ranker against all simpler ones.
    """
    heuristic_names = [name for name in HEURISTIC_BASELINES if name in result.recall]
    best, best_channel = (
        _best_by_recall(heuristic_names, "all", result),
        _best_by_recall(held_out.channels, "all", result),
    )
    discoverer = _best_by_recall([*BASELINES, *heuristic_names], "reachable", result)
    result.notes |= {"best_memory": best, "best_discoverer": discoverer}
    result.pairs = [("fused", name) for name in (*heuristic_names, *BASELINES, best_channel)]
    result.pairs += [(name, other) for name in held_out.channels for other in (best, discoverer)]
    variants = ("served_uncapped", "served_unspaced", "served_without_reactions")
    result.pairs += [("served", name) for name in ("fused", *variants, *heuristic_names)] + [("ranker", "fused")]
    rankers = list(result.ranking)
    result.pairs += [(rankers[high], rankers[low]) for high in range(len(rankers)) for low in range(high)]
    result.pairs = [pair for pair in dict.fromkeys(result.pairs) if pair[0] != pair[1]]


def _best_by_recall(names: Iterable[str], part: str, result: Result) -> str:
    """The name with the highest recall@200 on targets of kind `part`."""
    return max(names, key=lambda name: np.nan_to_num(result.recall[name]["recall_at_200"][part].value))


def publish_reports(folder: Path) -> None:
    """Copy the reports of a finished evaluation to the folder of reports."""
    reports = settings.load_settings().reports
    for name in (JSON_FILE, HTML_FILE):
        atomic_write(reports / name, (folder / name).read_bytes())


def log_headlines(result: Result, workspace: Workspace) -> None:
    """Print the five metrics that a run is known by, and write them and the choice into the MLflow run of the day and the
    recipe.
    """
    selected = result.notes["chosen"]
    metrics = {
        f"{name}/{metric}": table[name][metric]["all"]
        for table, name, metric in (
            (result.recall, "fused", "recall_at_50"),
            (result.recall, "fused", "recall_at_200"),
            (result.slate, "served", "recall_at_30"),
            (result.slate, "served", "ndcg_at_10"),
        )
    }
    tasks = result.ranking.get(selected["ranker"], {})
    metrics |= {f"ranker/{task}/gauc": row["gauc"] for task, row in tasks.items() if task == DEFAULT_TASK}
    for name, estimate in metrics.items():
        print(f"  {name:28} {format_interval(estimate.interval())}")
    with track_run(workspace.folder, "", {"ranker": selected["ranker"], "blend": selected["blend"]["weight"]}):
        log_metrics({name: estimate.value for name, estimate in metrics.items() if not math.isnan(estimate.value)})


@report_errors(MissingInput, StorageError, code=1)
def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Evaluate the workspace's held-out models")
    add_workspace_arguments(parser)
    arguments = parser.parse_args()
    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    # Fits may run concurrently and share the cores; an evaluation runs alone and uses all of them.
    os.environ.setdefault("SEGUE_THREADS", str(os.cpu_count() or 1))
    configure_threads()
    if not evaluate(workspace):
        print(f"unchanged: {workspace.folder / 'evaluation'}")
    return 0


if __name__ == "__main__":
    end_process(main())
