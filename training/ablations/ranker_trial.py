"""Fit one ranker of an ablation and predict the cases of the evaluation scope.

Legend: N cases, T tasks, R training cases, P positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from tqdm import tqdm

from training.data.user_batch import OfflineFeatures
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.fit import fit_ranker, predict_logits
from training.ranking.ranker import Ranker, RankerConfig

CASE_BATCH_SIZE = 2048
CLICK, MIN_CASES_PER_POSITION = "click", 100
SCHEMA = {"user": pl.Int64, "task": pl.String, "label": pl.Float32, "probability": pl.Float32}


@dataclass(frozen=True)
class EvaluationScope:
    """Cases and tasks on which the rankers of an ablation are compared."""

    part: str = "validation"  # validation or test
    tasks: tuple[str, ...] = ("not_skipped",)  # tasks without labels in the log are omitted


DEFAULT_SCOPE = EvaluationScope()
DEFAULT_TASK = DEFAULT_SCOPE.tasks[0]


def measure(
    name: str, offline: OfflineFeatures, config: RankerConfig, folder: Path, scope: EvaluationScope = DEFAULT_SCOPE
) -> tuple[pl.DataFrame, RankerConfig, dict[str, Any]]:
    """Fit and predict.

    Returns:
        The predictions (user, task, label, probability; one row per labeled case and task), the resolved config, and
        the measures of the fit, including the `position_effect` of the bias tower on clicks.
    """
    ranker = fit_ranker(name, offline.data, config, folder, offline)
    cases = ranking_cases(offline.data).filter_part(scope.part)
    batches = CaseBatches(cases, offline, ranker.feature_service, ranker.features)
    steps = -(-len(batches) // CASE_BATCH_SIZE)
    bar = tqdm(batches.iterate_in_order(CASE_BATCH_SIZE), total=steps, desc=f"{scope.part} {name}", mininterval=1)
    logits_NT, labels_NT = predict_logits(ranker.model, bar)
    temperatures = ranker.resolved_config.validation.temperatures or [1.0] * len(ranker.tasks)
    probability_NT = torch.sigmoid(logits_NT / torch.tensor(temperatures))
    tables = [
        pl.DataFrame(
            {
                "user": cases.user_R,
                "task": pl.repeat(task, len(cases), dtype=pl.String, eager=True),
                "label": labels_NT[:, t].numpy(),
                "probability": probability_NT[:, t].numpy(),
            }
        )
        for t, task in enumerate(ranker.tasks)
        if task in scope.tasks
    ]
    measures = {key: ranker.measures[key] for key in ("seconds", "steps", "cases")}
    measures["parameters"] = sum(parameter.numel() for parameter in ranker.model.parameters())
    if ranker.model.position is not None and CLICK in ranker.tasks:
        measures["position_effect"] = position_effect(ranker.model, ranking_cases(offline.data).filter_part("train"))
    rows = pl.concat([pl.DataFrame(schema=SCHEMA), *tables]).filter(pl.col("label").is_not_nan())
    return rows, ranker.resolved_config, measures


@torch.no_grad()
def position_effect(model: Ranker[RankerConfig], train: RankingCases) -> dict[str, list[float]]:
    """Logits that the bias tower adds to clicks, by position (from 1) with enough training cases.

    Keys `places` and `logits`.
    """
    click = model.tasks.index(CLICK)
    position_R = train.position_R[~np.isnan(train.labels_RT[:, click])]
    positions = np.flatnonzero(np.bincount(position_R)[1:] >= MIN_CASES_PER_POSITION) + 1
    bias_PT = torch.as_tensor(model.position_bias(torch.from_numpy(positions)))
    return {"places": positions.tolist(), "logits": bias_PT[:, click].tolist()}
