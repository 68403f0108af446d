"""One ranker of a study: fitted, and its probabilities of the cases that it is asked about.

Legend: N cases. Knows nothing about studies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import torch
from tqdm import tqdm

from training.features import OfflineFeatures
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import ranking_cases
from training.ranking.fit import fit_ranker, logits_of
from training.ranking.ranker import RankerConfig
from training.study.asked import DEFAULT, Asked

TASK = DEFAULT.tasks[0]
CASES_AT_ONCE = 2048


def measure(
    name: str, offline: OfflineFeatures, config: RankerConfig, folder: Path, asked: Asked = DEFAULT
) -> tuple[pl.DataFrame, RankerConfig, dict[str, Any]]:
    """Columns user, task, label, probability, a row a case and task whose label is known; the settled config; what the
    fit told, and the bias tower's logits of each place (`position_effect`, task ▸ place 1, 2, …) where it has one.
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
    if ranker.model.position is not None and (places := int(cases.position_R.max(initial=0))):
        with torch.no_grad():
            bias_PT = torch.as_tensor(ranker.model.bias_of(torch.arange(1, places + 1)))
        kept["position_effect"] = {task: bias_PT[:, t].tolist() for t, task in enumerate(ranker.tasks)}
    return pl.concat(of_tasks).filter(pl.col("label").is_not_nan()), ranker.settled, kept
