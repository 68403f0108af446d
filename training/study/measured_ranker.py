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

from training.features import OfflineFeatures
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.fit import fit_ranker, logits_of
from training.ranking.ranker import Ranker, RankerConfig
from training.study.asked import DEFAULT, Asked

TASK = DEFAULT.tasks[0]
CASES_AT_ONCE = 2048
CLICK, OFTEN = "click", 100


def measure(
    name: str, offline: OfflineFeatures, config: RankerConfig, folder: Path, asked: Asked = DEFAULT
) -> tuple[pl.DataFrame, RankerConfig, dict[str, Any]]:
    """Columns user, task, label, probability, a row a case and task whose label is known; the settled config; what the
    fit told, and what the bias tower adds to a click (`position_effect`: places from 1 that OFTEN taught it, and logits).
    """
    ranker = fit_ranker(name, offline.data, config, folder, offline)
    cases = ranking_cases(offline.data).of_part(asked.part)
    batches = CaseBatches(cases, offline, ranker.feature_service, ranker.features)
    steps = -(-len(batches) // CASES_AT_ONCE)
    bar = tqdm(batches.in_order(CASES_AT_ONCE), total=steps, desc=f"{asked.part} {name}", mininterval=1)
    logits_NT, labels_NT = logits_of(ranker.model, bar)
    probability_NT = torch.sigmoid(logits_NT / torch.tensor(ranker.settled.temperatures))
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
        kept["position_effect"] = position_effect(ranker.model, ranking_cases(offline.data).of_part("train"))
    return pl.concat(of_tasks).filter(pl.col("label").is_not_nan()), ranker.settled, kept


@torch.no_grad()
def position_effect(model: Ranker, learned: RankingCases) -> dict[str, list[float]]:
    """Places whose click was known OFTEN in training, from 1 on, and what the bias tower adds to a click there."""
    click = model.tasks.index(CLICK)
    place_R = learned.position_R[~np.isnan(learned.labels_RT[:, click])]
    places = np.flatnonzero(np.bincount(place_R)[1:] >= OFTEN) + 1
    bias_PT = torch.as_tensor(model.bias_of(torch.from_numpy(places)))
    return {"places": places.tolist(), "logits": bias_PT[:, click].tolist()}
