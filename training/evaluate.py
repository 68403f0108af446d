"""`python -m training.evaluate`: measure the held-out models against the memories, and choose what is served.

Fusion weights, the ranker and its share of the order are chosen on validation; test is scored once. Writes
`$SEGUE_HOME/reports/evaluation.json` and `.html`, and into the workspace's `evaluation/` the choices (`fusion.json`,
`blend.json`, `choice.json`), every prediction as Parquet, and the slate request by request, which the release's gate
reads.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

import settings
from training import blend
from training.blend import Blend
from training.data import RecallCases, TrainingData
from training.evaluation import comparison, memories, ranking_metrics, recall_metrics, report
from training.evaluation.bootstrap import Estimate
from training.evaluation.held_out import HeldOut, fitted, scenes_of
from training.evaluation.result import Result
from training.evaluation.servable import Servable
from training.evaluation.slate import METRICS as SLATE_METRICS
from training.evaluation.slate import Slate, by_request, sample
from training.fusion import RECALLED, Fusion
from training.ranking.cases import RankingCases, ranking_cases
from training.recipes import RECIPES, recipe
from training.tracking import open_experiment
from training.workspace import INPUTS, SOURCES, Workspace, code_hash, is_unchanged, mark_done, write_json

HERE = Path(__file__).parent
RECALL_METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")
TEST_SLATES_PER_USER = 20
VALIDATION_RANKING_CASES = 100_000
JSON_FILE, HTML_FILE = "evaluation.json", "evaluation.html"


@dataclass(frozen=True)
class Choice:
    """What validation chose: fusion, the ranker (None: there is none) and its share of the order."""

    fusion: Fusion
    ranker: str | None
    blend: Blend
    why: dict[str, Any]


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
    held_out = HeldOut.open(workspace)
    servable = Servable.of(held_out.data)
    choice = choose(held_out, servable)
    choice.fusion.save(folder / "fusion.json")
    choice.blend.save(folder / "blend.json")
    write_json(folder / "choice.json", {"ranker": choice.ranker, **choice.why})
    print(f"chosen on validation: {choice.fusion.readable()}; ranker {choice.ranker}, blend {choice.blend.weight}")

    result = Result(workspace.as_of, split(workspace.marts))
    result.notes["chosen"] = {
        "fusion": asdict(choice.fusion),
        "ranker": choice.ranker,
        "blend": asdict(choice.blend),
        **choice.why,
    }
    cases = held_out.data.recall_cases("test")
    measure_recall(held_out, servable, choice, cases, result, folder)
    measure_ranking(held_out, result, folder)
    add_pairs(result, held_out)
    result.notes["seconds"] = round(time.monotonic() - began, 1)
    result.notes["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    write_json(folder / JSON_FILE, result.to_json())
    (folder / HTML_FILE).write_text(report.page(result.to_json()))
    publish_reports(folder)
    log_run(result, folder)
    mark_done(folder, inputs)
    print(summary(result))
    return True


def evaluation_inputs(workspace: Workspace) -> dict[str, Any]:
    """What an evaluation depends on: marts, the held-out models' own inputs, the code that measures."""
    code = code_hash(
        *SOURCES,
        HERE / "evaluation",
        HERE / "evaluate.py",
        HERE / "fusion.py",
        HERE / "reciprocal_rank.py",
        HERE / "discovery_share.py",
        HERE / "heard.py",
        HERE / "blend.py",
        HERE / "selection.py",
    )
    return workspace.inputs(code=code, models=model_ids(workspace, "held_out"))


def model_ids(workspace: Workspace, fit: str) -> dict[str, str]:
    """`channel/NAME` or `ranker/NAME` → hash of everything the model was made from."""
    found = {}
    for kind, place in (("channel", workspace.channel), ("ranker", workspace.ranker)):
        for name in fitted(workspace, fit, kind):
            found[f"{kind}/{name}"] = _hash_in(place(fit, name) / INPUTS)
    return found


def choose(held_out: HeldOut, servable: Servable) -> Choice:
    """Fusion, ranker and blend, each on a sample of the validation cases that the recipe bounds."""
    wanted = held_out.data.recipe
    all_cases = held_out.data.recall_cases("validation")
    cases = all_cases.take(sample(all_cases, wanted.fusion_cases_per_user))
    found = held_out.recall(cases, "validation")
    fusion, shares = Fusion.fit(found, held_out.heard(cases), cases)
    rows = sample(cases, wanted.validation_cases_per_user)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    why: dict[str, Any] = {
        "fusion_cases": len(cases),
        "slate_cases": len(rows),
        "share_table": {str(share): table for share, table in shares.items()},
    }
    if not held_out.rankers:
        return Choice(fusion, None, Blend(0.0), why)
    ranking = ranking_cases(held_out.data).of_part("validation")
    ranking = ranking.take(
        np.unique(np.linspace(0, max(len(ranking) - 1, 0), VALIDATION_RANKING_CASES).astype(np.int64))
    )
    figures = {
        name: {task: metrics["gauc"].value for task, metrics in tasks.items()}
        for name, (tasks, _) in rank_figures(held_out, ranking, "validation").items()
    }
    best = max(
        figures, key=lambda name: np.nan_to_num(figures[name].get(blend.TASK, next(iter(figures[name].values()), 0.0)))
    )
    task = blend.TASK if blend.TASK in held_out.rankers[best].tasks else held_out.rankers[best].tasks[0]
    slate = Slate.build(held_out, cases.take(rows), some, fusion, held_out.rankers[best], servable)
    weight, table = slate.choose()
    why |= {
        "validation_gauc": figures,
        "blend_table": {str(b): row for b, row in table.items()},
        "cap_table": {str(most): row for most, row in slate.price_of_caps(weight).items()},
    }
    return Choice(fusion, best, Blend(weight, task), why)


def measure_recall(
    held_out: HeldOut, servable: Servable, choice: Choice, cases: RecallCases, result: Result, folder: Path
) -> None:
    """Channels, fused order and memories on every test case; the slate on a sample of them."""
    found = held_out.recall(cases, "test")
    lists = {name: one.items_BK for name, one in found.items()}
    channels = dict(lists)
    lists["fused"] = choice.fusion.fuse(found, held_out.heard(cases), RECALLED, scenes_of(cases)).items_BK
    wanted = [name for name in memories.MEMORIES if name not in lists]
    lists |= memories.recall(held_out.data, cases, RECALLED, wanted)
    values = {name: recall_metrics.by_case(items, cases, RECALL_METRICS) for name, items in lists.items()}
    for name, items in lists.items():
        result.recall[name] = recall_metrics.estimates(values[name], cases)
        result.coverage[name] = recall_metrics.coverage(items, held_out.data.catalogue_V)
        predictions(held_out.data, cases, items).write_parquet(folder / f"recall_{name}.parquet")
    at_50 = {name: values[name]["recall_at_50"]["all"] for name in lists}
    result.notes |= {
        "cases": {"test_sessions": len(cases), "test_users": len(np.unique(cases.user_C))},
        "by_history": {name: comparison.by_history(figures, cases) for name, figures in at_50.items()},
        "overlap_at_50": comparison.overlap(channels),
        "hits_at_200": comparison.unique_hits(channels, cases),
    }
    rows = sample(cases, TEST_SLATES_PER_USER)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    ranker = held_out.rankers[choice.ranker] if choice.ranker else None
    slate = Slate.build(held_out, cases.take(rows), some, choice.fusion, ranker, servable)
    shown = {"served": slate.shown(choice.blend.weight), "fused": slate.shown(0.0)}
    if ranker is not None:
        shown["ranker"] = slate.shown(1.0)
    shown |= {name: lists[name][rows] for name in memories.MEMORIES if name in lists}
    ids = held_out.data.vocabulary.track_ids_V
    for name, items in shown.items():
        result.slate[name] = recall_metrics.measure(items, slate.cases, SLATE_METRICS)
    requests = [by_request(items, slate.cases, ids).with_columns(name=pl.lit(name)) for name, items in shown.items()]
    pl.concat(requests).write_parquet(folder / "slate.parquet")
    result.notes["slate_sample"] = {
        "requests": len(rows),
        "of": len(cases),
        "per_user": TEST_SLATES_PER_USER,
        "drawn_by": "the smallest hashes of user and time",
    }


Figures = tuple[dict[str, dict[str, Estimate]], NDArray[np.float32]]


def rank_figures(held_out: HeldOut, cases: RankingCases, what: str) -> dict[str, Figures]:
    """For each ranker: task → metric → estimate, and its probabilities [R, T]."""
    found: dict[str, Figures] = {}
    for name, probability_RT in held_out.predict(cases, what).items():
        tasks = {}
        for column, task in enumerate(held_out.rankers[name].tasks):
            label_R = cases.labels_RT[:, cases.tasks.index(task)]
            known = ~np.isnan(label_R)
            if known.any():
                tasks[task] = ranking_metrics.measure(
                    label_R[known], probability_RT[known, column], cases.user_R[known]
                )
        found[name] = tasks, probability_RT
    return found


def measure_ranking(held_out: HeldOut, result: Result, folder: Path) -> None:
    """Every ranker and task on every test play and impression."""
    cases = ranking_cases(held_out.data).of_part("test")
    curves: dict[str, dict[str, list[tuple[float, float, int]]]] = {}
    for name, (tasks, probability_RT) in rank_figures(held_out, cases, "test").items():
        result.ranking[name] = tasks
        curves[name] = {}
        for column, task in enumerate(held_out.rankers[name].tasks):
            label_R = cases.labels_RT[:, cases.tasks.index(task)]
            known = ~np.isnan(label_R)
            curves[name][task] = ranking_metrics.calibration_curve(label_R[known], probability_RT[known, column])
            rows = np.flatnonzero(known & (cases.play_number_R >= 0))
            pl.DataFrame(
                {
                    "user_id": held_out.data.user_ids_U[cases.user_R[rows]].tolist(),
                    "sequence_number": cases.play_number_R[rows],
                    "score": probability_RT[rows, column],
                }
            ).write_parquet(folder / f"ranking_{name}_{task}.parquet")
    result.notes["calibration"] = curves
    result.notes.setdefault("cases", {})["test_ranking_cases"] = len(cases)


def add_pairs(result: Result, held_out: HeldOut) -> None:
    """Which differences are worth an interval: fused and channels against the best memory, served against fused,
    ranker by ranker.
    """
    known = [name for name in memories.MEMORIES if name in result.recall]
    best = max(known, key=lambda name: np.nan_to_num(result.recall[name]["recall_at_200"]["all"].value))
    best_channel = max(
        held_out.channels, key=lambda name: np.nan_to_num(result.recall[name]["recall_at_200"]["all"].value)
    )
    result.notes["best_memory"], result.notes["best_channel"] = best, best_channel
    result.pairs = [("fused", name) for name in known] + [("fused", best_channel)]
    result.pairs += [(name, best) for name in held_out.channels if name != best]
    result.pairs += [("served", name) for name in ("fused", *known)] + [("ranker", "fused")]
    ladder = list(result.ranking)
    result.pairs += [(ladder[high], ladder[low]) for high in range(len(ladder)) for low in range(high)]
    result.pairs = [pair for pair in dict.fromkeys(result.pairs) if pair[0] != pair[1] and result._difference(*pair)]


def predictions(data: TrainingData, cases: RecallCases, items_CK: NDArray[np.int64]) -> pl.DataFrame:
    """`user_id, sequence_number, tracks` (ids, best first): what the anchor's scoring script reads."""
    tracks = [data.vocabulary.decode(row[row > 0]) for row in items_CK]
    columns = {"user_id": cases.user_ids.tolist(), "sequence_number": cases.play_number_C, "tracks": tracks}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String, "tracks": pl.List(pl.String)})


def split(marts: Path) -> str:
    """How the marts are split: `user_time` or `global_time`."""
    (value,) = pl.read_parquet(marts / "train_cuts.parquet")["split"].to_list()
    return str(value)


def publish_reports(folder: Path) -> None:
    """Put the reports of a finished evaluation where people look."""
    reports = settings.load().reports
    reports.mkdir(parents=True, exist_ok=True)
    for name in (JSON_FILE, HTML_FILE):
        shutil.copyfile(folder / name, reports / f"{name}.writing")
        (reports / f"{name}.writing").replace(reports / name)


def log_run(result: Result, folder: Path) -> None:
    """One MLflow run with every figure and both reports."""
    here = settings.load()
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
        mlflow.log_metrics(result.flat())
        for name in (JSON_FILE, HTML_FILE, "fusion.json", "blend.json"):
            mlflow.log_artifact(str(folder / name))


def summary(result: Result) -> str:
    """The figures to look at first, as lines."""
    lines = [f"{'recall':24} {'@50':>24} {'@200':>24}"]
    for name, table in result.recall.items():
        lines.append(
            f"  {name:22} {_shown(table['recall_at_50']['all'].interval())} {_shown(table['recall_at_200']['all'].interval())}"
        )
    lines.append(f"{'slate':24} {'recall@30':>24} {'ndcg@10':>24}")
    for name, table in result.slate.items():
        lines.append(
            f"  {name:22} {_shown(table['recall_at_30']['all'].interval())} {_shown(table['ndcg_at_10']['all'].interval())}"
        )
    lines.append(f"{'ranking':24} {'auc':>24} {'gauc':>24}")
    for name, tasks in result.ranking.items():
        for task, metrics in tasks.items():
            lines.append(
                f"  {name + ' ' + task:22} {_shown(metrics['auc'].interval())} {_shown(metrics['gauc'].interval())}"
            )
    lines.append(f"{result.notes['seconds']} s, {result.notes['peak_mb']:,} MB; {settings.load().reports / HTML_FILE}")
    return "\n".join(lines)


def _shown(interval: list[float]) -> str:
    return f"{interval[0]:8.4f} [{interval[1]:.4f}, {interval[2]:.4f}]"


def _hash_in(path: Path) -> str:
    import json

    return str(json.loads(path.read_text())["hash"])


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
    main()
