"""A study's answer as Markdown tables: every cell, and the paired differences that were asked for; one a task.

With several seeds a figure is the mean over them, as are its bootstraps; users are drawn, seeds are not. Knows nothing
about fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from training.ablations.grid import Ablation, CellResult, ModelKind
from training.evaluation.metrics import bootstrap, ranking_metrics, recall_metrics
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
"""The metric whose difference is also told for each seed."""

Results = Mapping[str, Sequence[CellResult]]
"""Cell name → its result with each seed."""


def render_markdown(study: Ablation, results: Results, seeds: Sequence[int], heading: str, code: str) -> str:
    """The page. `code` is the hash of the present code: cells that another one computed are named."""
    kind = study.kind
    lines = [f"# {study.name}", "", study.question, "", f"{heading}; seed{'s'[: len(seeds) > 1]} "]
    lines[-1] += ", ".join(map(str, seeds)) + "; 95 % intervals draw users."
    for task in study.scope.tasks if kind == "ranker" else ("",):
        told = {name: [filter_task(one, task) for one in some] for name, some in results.items()}
        lines += ["", f"Task `{task}`:"] if task else []
        if any(one.predictions.is_empty() for some in told.values() for one in some):
            lines.append("the log holds none.")
            continue
        lines += _task_tables(study, told)
    lines += _position_effects(results)
    old = [name for name, some in results.items() if any(one.measures["code"] != code for one in some)]
    if old:
        lines += [
            "",
            f"Computed by other code than the present (remove SEGUE_HOME/study to do it again): {', '.join(old)}.",
        ]
    return "\n".join(lines) + "\n"


def filter_task(result: CellResult, task: str) -> CellResult:
    """What it says of one task; all of it where there is one only."""
    rows = result.predictions
    return replace(result, predictions=rows.filter(pl.col("task") == task)) if "task" in rows.columns else result


def _task_tables(study: Ablation, results: Results) -> list[str]:
    kind, titles = study.kind, TITLES[study.kind]
    figures = {name: average_over_seeds([measure(one, kind) for one in some]) for name, some in results.items()}
    lines = ["", f"| cell | {kind} | " + " | ".join(titles.values()) + " | parameters | fit, s |"]
    lines.append("|---" * (len(titles) + 4) + "|")
    for cell in study.cells:
        some = results[cell.name]
        changes = ", ".join(f"{key} {value}" for key, value in cell.changes.items())
        seconds = np.mean([one.measures["seconds"] for one in some])
        row = [cell.name, f"`{cell.model}`" + (f", {changes}" if changes else "")]
        row += [format_interval(figures[cell.name][metric], "{:.4f}") for metric in titles]
        lines.append("| " + " | ".join([*row, f"{some[0].measures['parameters']:,}", f"{seconds:.0f}"]) + " |")
    main = MAIN_METRIC[kind]
    lines += ["", "| paired over users | " + " | ".join(titles.values()) + f" | {titles[main]} by seed |"]
    lines.append("|---" * (len(titles) + 2) + "|")
    for high, low in study.pairs:
        row = [f"{high} − {low}"]
        row += [format_interval(figures[high][metric] - figures[low][metric], "{:+.4f}") for metric in titles]
        each = zip(results[high], results[low], strict=True)
        by_seed = [measure(one, kind)[main].value - measure(other, kind)[main].value for one, other in each]
        lines.append("| " + " | ".join([*row, ", ".join(f"{value:+.4f}" for value in by_seed)]) + " |")
    return lines


def _position_effects(results: Results) -> list[str]:
    """Whether each bias tower says less of a click the later the place: Spearman's rank correlation, by seed."""
    lines = []
    for name, some in results.items():
        effects = [one.measures.get("position_effect", {"places": []}) for one in some]
        if all(len(effect["places"]) > 1 for effect in effects):
            by_seed = [spearmanr(effect["logits"], -np.array(effect["places"])).statistic for effect in effects]
            said = ", ".join(f"{value:.3f}" for value in by_seed)
            places = len(effects[0]["places"])
            lines += ["", f"{name}: the earlier the place (of {places}), the more its bias tower says: {said}."]
    return lines


def measure(result: CellResult, kind: ModelKind) -> dict[str, Estimate]:
    """Every metric of one result."""
    rows = result.predictions
    if kind == "channel":
        users, user_C = np.unique(rows["user"].to_numpy(), return_inverse=True)
        return {
            metric: bootstrap.mean(recall_metrics.mean_by_user(rows[metric].to_numpy(), user_C, len(users)))
            for metric in TITLES[kind]
        }
    return ranking_metrics.measure(rows["label"].to_numpy(), rows["probability"].to_numpy(), rows["user"].to_numpy())


def average_over_seeds(each: Sequence[Mapping[str, Estimate]]) -> dict[str, Estimate]:
    """Each metric averaged over seeds, draw by draw."""
    return {
        metric: Estimate(
            float(np.mean([one[metric].value for one in each])), np.mean([one[metric].draws_R for one in each], axis=0)
        )
        for metric in each[0]
    }


def format_interval(estimate: Estimate, form: str) -> str:
    """`value [low, high]`."""
    value, low, high = (form.format(number) for number in estimate.interval())
    return f"{value} [{low}, {high}]"
