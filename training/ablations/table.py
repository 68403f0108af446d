"""Markdown report of an ablation: metrics of every cell and paired differences, in one table per task.

With several seeds, a value and its bootstrap samples are the means over the seeds; users are resampled, seeds are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from training.ablations.grid import Ablation, CellResult, ModelKind
from training.evaluation.metrics import ranking_metrics, recall_metrics
from training.evaluation.metrics.bootstrap import Estimate

TITLES: Mapping[ModelKind, Mapping[str, str]] = {
    "ranker": {"auc": "AUC", "gauc": "GAUC", "logloss": "log loss"},
    "channel": {
        "recall_at_50/all": "@50 all",
        "recall_at_200/all": "@200 all",
        "recall_at_200/repeat": "@200 repeat",
        "recall_at_200/reachable": "@200 reachable",
        "ndcg_at_10/all": "ndcg@10",
    },
}
MAIN_METRIC: Mapping[ModelKind, str] = {"ranker": "gauc", "channel": "recall_at_200/all"}
"""Metric whose difference is also reported for each seed."""

Results = Mapping[str, Sequence[CellResult]]
"""Cell → result of each seed."""


def render_markdown(
    ablation: Ablation, results: Results, seeds: Sequence[int], heading: str, code: Mapping[str, str]
) -> str:
    """The report.

    Args:
        ablation: The ablation.
        results: Results of all cells and seeds.
        seeds: The seeds.
        heading: Command and scope, shown below the question.
        code: Hash of the current code of each cell; cells computed by other code are listed.
    """
    kind = ablation.kind
    lines = [f"# {ablation.name}", "", ablation.question, "", f"{heading}; seed{'s'[: len(seeds) > 1]} "]
    lines[-1] += ", ".join(map(str, seeds)) + "; 95 % intervals over users."
    for task in ablation.scope.tasks if kind == "ranker" else ("",):
        task_results = {name: [filter_task(run, task) for run in runs] for name, runs in results.items()}
        lines += ["", f"Task `{task}`:"] if task else []
        if any(run.predictions.is_empty() for runs in task_results.values() for run in runs):
            lines.append("the log has no labels for it.")
            continue
        lines += _task_tables(ablation, task_results)
    lines += _position_effects(results)
    outdated = [name for name, runs in results.items() if any(run.measures["code"] != code[name] for run in runs)]
    if outdated:
        lines += [
            "",
            f"Computed by earlier code (remove SEGUE_HOME/ablations to repeat): {', '.join(outdated)}.",
        ]
    return "\n".join(lines) + "\n"


def filter_task(result: CellResult, task: str) -> CellResult:
    """The predictions of one task; the result itself if it has no tasks."""
    rows = result.predictions
    return replace(result, predictions=rows.filter(pl.col("task") == task)) if "task" in rows.columns else result


def _task_tables(ablation: Ablation, results: Results) -> list[str]:
    kind, titles = ablation.kind, TITLES[ablation.kind]
    metrics = {name: average_over_seeds([measure(run, kind) for run in runs]) for name, runs in results.items()}
    lines = ["", f"| cell | {kind} | " + " | ".join(titles.values()) + " | parameters | fit, s |"]
    lines.append("|---" * (len(titles) + 4) + "|")
    for cell in ablation.cells:
        runs = results[cell.name]
        changes = ", ".join(f"{key} {value}" for key, value in cell.changes.items())
        seconds = np.mean([run.measures["seconds"] for run in runs])
        row = [cell.name, f"`{cell.model}`" + (f", {changes}" if changes else "")]
        row += [format_interval(metrics[cell.name][metric], "{:.4f}") for metric in titles]
        lines.append("| " + " | ".join([*row, f"{runs[0].measures['parameters']:,}", f"{seconds:.0f}"]) + " |")
    main = MAIN_METRIC[kind]
    lines += ["", "| paired over users | " + " | ".join(titles.values()) + f" | {titles[main]} by seed |"]
    lines.append("|---" * (len(titles) + 2) + "|")
    for high, low in ablation.pairs:
        row = [f"{high} − {low}"]
        row += [format_interval(metrics[high][metric] - metrics[low][metric], "{:+.4f}") for metric in titles]
        run_pairs = zip(results[high], results[low], strict=True)
        by_seed = [measure(first, kind)[main].value - measure(second, kind)[main].value for first, second in run_pairs]
        lines.append("| " + " | ".join([*row, ", ".join(f"{value:+.4f}" for value in by_seed)]) + " |")
    return lines


def _position_effects(results: Results) -> list[str]:
    """Spearman rank correlation between the logits of each bias tower and the negative position, by seed."""
    lines = []
    for name, runs in results.items():
        effects = [run.measures.get("position_effect", {"places": []}) for run in runs]
        if all(len(effect["places"]) > 1 for effect in effects):
            by_seed = [spearmanr(effect["logits"], -np.array(effect["places"])).statistic for effect in effects]
            correlations = ", ".join(f"{value:.3f}" for value in by_seed)
            positions = len(effects[0]["places"])
            lines += [
                "",
                f"{name}: rank correlation of the bias tower with earlier positions (of {positions}): {correlations}.",
            ]
    return lines


def measure(result: CellResult, kind: ModelKind) -> dict[str, Estimate]:
    """All metrics of one result."""
    rows = result.predictions
    if kind == "channel":
        return measure_recall(rows.select("user", *TITLES[kind]))
    return ranking_metrics.measure(rows["label"].to_numpy(), rows["probability"].to_numpy(), rows["user"].to_numpy())


def measure_recall(rows: pl.DataFrame) -> dict[str, Estimate]:
    """Mean over users of each column but `user`, from one row per case."""
    user_C = rows["user"].to_numpy()
    return {
        metric: recall_metrics.mean_over_users(rows[metric].to_numpy(), user_C)
        for metric in rows.columns
        if metric != "user"
    }


def average_over_seeds(runs: Sequence[Mapping[str, Estimate]]) -> dict[str, Estimate]:
    """Mean of each metric over seeds, also of each bootstrap sample."""
    return {
        metric: Estimate(
            float(np.mean([run[metric].value for run in runs])), np.mean([run[metric].draws_R for run in runs], axis=0)
        )
        for metric in runs[0]
    }


def format_interval(estimate: Estimate, form: str) -> str:
    """`value [low, high]`."""
    value, low, high = (form.format(number) for number in estimate.interval())
    return f"{value} [{low}, {high}]"
