"""One ranker of a study: fitted, and its probabilities of the cases that it is asked about.

Legend: N cases. Knows nothing about studies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from tqdm import tqdm

from training.ablations.evaluation_scope import DEFAULT_SCOPE, EvaluationScope
from training.data.user_batch import OfflineFeatures
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.fit import fit_ranker, predict_logits
from training.ranking.ranker import Ranker, RankerConfig

DEFAULT_TASK = DEFAULT_SCOPE.tasks[0]
CASE_BATCH_SIZE = 2048
CLICK, MIN_CASES_PER_POSITION = "click", 100


def measure(
    name: str, offline: OfflineFeatures, config: RankerConfig, folder: Path, asked: EvaluationScope = DEFAULT_SCOPE
) -> tuple[pl.DataFrame, RankerConfig, dict[str, Any]]:
    """Columns user, task, label, probability, a row a case and task whose label is known; the settled config; what the
    fit told, and what the bias tower adds to a click (`position_effect`: places from 1 that OFTEN taught it, and logits).
    """
    ranker = fit_ranker(name, offline.data, config, folder, offline)
    cases = ranking_cases(offline.data).filter_part(asked.part)
    batches = CaseBatches(cases, offline, ranker.feature_service, ranker.features)
    steps = -(-len(batches) // CASE_BATCH_SIZE)
    bar = tqdm(batches.iterate_in_order(CASE_BATCH_SIZE), total=steps, desc=f"{asked.part} {name}", mininterval=1)
    logits_NT, labels_NT = predict_logits(ranker.model, bar)
    probability_NT = torch.sigmoid(logits_NT / torch.tensor(ranker.resolved_config.temperatures))
    of_tasks = [
        pl.DataFrame(
            {
                "user": cases.user_R,
                "task": pl.repeat(task, len(cases), dtype=pl.String, eager=True),
                "label": labels_NT[:, t].numpy(),
                "probability": probability_NT[:, t].numpy(),
            }
        )
        for t, task in enumerate(ranker.tasks)
        if task in asked.tasks
    ]
    kept = {key: ranker.measures[key] for key in ("seconds", "steps", "cases")}
    kept["parameters"] = sum(parameter.numel() for parameter in ranker.model.parameters())
    if ranker.model.position is not None and CLICK in ranker.tasks:
        kept["position_effect"] = position_effect(ranker.model, ranking_cases(offline.data).filter_part("train"))
    return pl.concat(of_tasks).filter(pl.col("label").is_not_nan()), ranker.resolved_config, kept


@torch.no_grad()
def position_effect(model: Ranker, learned: RankingCases) -> dict[str, list[float]]:
    """Places whose click was known OFTEN in training, from 1 on, and what the bias tower adds to a click there."""
    click = model.tasks.index(CLICK)
    place_R = learned.position_R[~np.isnan(learned.labels_RT[:, click])]
    places = np.flatnonzero(np.bincount(place_R)[1:] >= MIN_CASES_PER_POSITION) + 1
    bias_PT = torch.as_tensor(model.position_bias(torch.from_numpy(places)))
    return {"places": places.tolist(), "logits": bias_PT[:, click].tolist()}
