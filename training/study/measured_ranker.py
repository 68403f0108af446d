"""One ranker of a study: fitted, and its probabilities of the validation cases.

Legend: N validation cases. Knows nothing about studies.
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

TASK = "not_skipped"
CASES_AT_ONCE = 2048


def measure(
    name: str, offline: OfflineFeatures, config: RankerConfig, folder: Path
) -> tuple[pl.DataFrame, RankerConfig, dict[str, Any]]:
    """Columns user, label, probability, a row a case whose label is known; the settled config; what the fit told."""
    ranker = fit_ranker(name, offline.data, config, folder, offline)
    cases = ranking_cases(offline.data).of_part("validation")
    batches = CaseBatches(cases, offline, ranker.feature_service, ranker.features)
    steps = -(-len(batches) // CASES_AT_ONCE)
    bar = tqdm(batches.in_order(CASES_AT_ONCE), total=steps, desc=f"validate {name}", mininterval=1)
    logits_NT, labels_NT = logits_of(ranker.model, bar)
    probability_NT = torch.sigmoid(logits_NT / torch.tensor(ranker.settled.temperatures))
    task = ranker.tasks.index(TASK)
    rows = pl.DataFrame(
        {"user": cases.user_R, "label": labels_NT[:, task].numpy(), "probability": probability_NT[:, task].numpy()}
    )
    kept = {key: ranker.measures[key] for key in ("seconds", "steps", "cases")}
    kept["parameters"] = sum(parameter.numel() for parameter in ranker.model.parameters())
    return rows.filter(pl.col("label").is_not_nan()), ranker.settled, kept
