"""Results of complete runs with several seeds: mean, standard deviation over seeds, and the differences of each seed.

All models of the recipe are fitted on the train part with SEEDS seeds, and evaluated like released models: each
seed chooses on validation again. The first seed is the seed of the run itself, whose fits are used again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from storage.files import write_json
from training.evaluate import JSON_FILE, evaluate
from training.train import model_names, train_if_possible
from training.workspace import MODELS, Workspace

NAME = "seeds"
SEEDS = 3
ABSENT = "–"
RECALL_COLUMNS = ("recall_at_50/all", "recall_at_200/all", "recall_at_200/repeat", "recall_at_200/reachable")
SLATE_COLUMNS = ("recall_at_30/all", "recall_at_30/reachable", "ndcg_at_10/all")
RANKING_COLUMNS = ("not_skipped/auc", "not_skipped/gauc", "full_play/gauc", "click/gauc")
DIFFERENCES = ("recall_at_50", "recall_at_200", "recall_at_30", "ndcg_at_10", "gauc")

Content = Mapping[str, Any]
"""Content of one `evaluation.json`."""


def report(workspace: Workspace, folder: Path) -> str:
    """Fit and evaluate with each seed; return the tables as Markdown, and write all results to `evaluations.json`."""
    contents = []
    for number in range(SEEDS):
        run = workspace.with_seed(number) if number else workspace
        print(f"{NAME}: seed {number}, {run.folder}", flush=True)
        for kind in MODELS:
            for name in model_names(kind, workspace.recipe):
                train_if_possible(run, kind, name, "held_out")
        evaluate(run)
        contents.append(json.loads((run.folder / "evaluation" / JSON_FILE).read_text()))
    write_json(folder / "evaluations.json", contents)
    return render(contents, workspace.recipe)


def render(contents: Sequence[Content], recipe: str) -> str:
    """The tables as Markdown; a list or ranker that a seed lacks is left out."""
    lines = [
        f"# {len(contents)} seeds, recipe `{recipe}`, test part",
        "",
        f"`make ablation ABLATION={NAME}`. Mean ± standard deviation over seeds; differences are paired over users, "
        "with the 95 % interval over users for each seed.",
        "",
        "| chosen on validation | " + " | ".join(f"seed {number}" for number in range(len(contents))) + " |",
        "|---" * (len(contents) + 1) + "|",
        _row("ranker", [str(content["chosen"]["ranker"]) for content in contents]),
        _row("share of discoveries", [_format_shares(content) for content in contents]),
    ]
    lines += _table("list", _shared(contents, "recall"), RECALL_COLUMNS, _reader(contents, "recall"))
    lines += _table(
        "share of discoveries", _shared(contents, "share_curve"), RECALL_COLUMNS, _reader(contents, "share_curve")
    )
    lines += _table("list of 30", _shared(contents, "slate"), SLATE_COLUMNS, _reader(contents, "slate"))
    lines += _table("ranker", _shared(contents, "ranking"), RANKING_COLUMNS, _reader(contents, "ranking"))
    return "\n".join([*lines, *_differences(contents)]) + "\n"


def _shared(contents: Sequence[Content], section: str) -> list[str]:
    """Names in a section that all seeds have."""
    return [name for name in contents[0][section] if all(name in content[section] for content in contents)]


def _reader(contents: Sequence[Content], section: str) -> Callable[[str, str], list[float]]:
    """Function of a name in the section and a column `outer/inner` that returns the value of each seed."""

    def read(name: str, column: str) -> list[float]:
        outer, _, inner = column.partition("/")
        estimates = [content[section][name].get(outer, {}).get(inner) for content in contents]
        return [estimate[0] for estimate in estimates if estimate and estimate[0] is not None]

    return read


def _table(
    title: str, names: Iterable[str], columns: Sequence[str], read: Callable[[str, str], list[float]]
) -> list[str]:
    headings = [column.replace("_at_", "@").removesuffix("/all").replace("/", " ") for column in columns]
    lines = ["", f"| {title} | " + " | ".join(headings) + " |", "|---" * (len(columns) + 1) + "|"]
    return lines + [_row(name, [_format_mean(read(name, column)) for column in columns]) for name in names]


def _differences(contents: Sequence[Content]) -> list[str]:
    lines = ["", "| difference | metric | " + " | ".join(f"seed {number}" for number in range(len(contents))) + " |"]
    lines.append("|---" * (len(contents) + 2) + "|")
    for pair in _shared(contents, "differences"):
        for metric in DIFFERENCES:
            estimates = [content["differences"][pair].get(metric) for content in contents]
            if all(estimate and None not in estimate for estimate in estimates):
                lines.append(_row(pair, [metric.replace("_at_", "@"), *map(_format_difference, estimates)]))
    return lines


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _format_mean(values: Sequence[float]) -> str:
    if not values:
        return ABSENT
    return f"{np.mean(values):.4f}" + (f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else "")


def _format_difference(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def _format_shares(content: Content) -> str:
    shares = content["chosen"]["fusion"]["shares"]
    return ", ".join(f"{scene or 'other scenes'} {share:g}" for scene, share in shares.items())
