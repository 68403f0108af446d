"""Fit one recall channel of an ablation and measure its recall of each session of the evaluation scope.

Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from training.ablations.ranker_trial import DEFAULT_SCOPE, EvaluationScope
from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.evaluation.metrics import recall_metrics
from training.recall.registry import CHANNELS

CASES_PER_USER, CASES_SEED = 12, 1
RECALL_DEPTH = 200
METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")


def measure(
    name: str, offline: OfflineFeatures, config: Any, folder: Path, scope: EvaluationScope = DEFAULT_SCOPE
) -> tuple[pl.DataFrame, Any, dict[str, Any]]:
    """Fit and measure.

    Returns:
        One row per case (at most CASES_PER_USER per user) with `user` and `<metric>/<part>` (NaN without targets of the
        part), the resolved config, and the measures of the fit.
    """
    data = offline.data
    channel = CHANNELS[name].fit(data, config, folder)
    channel.read_past_plays(data)
    cases = select_cases(data, scope.part)
    lists = []
    for rows in tqdm(list(iterate_chunks(len(cases))), desc=f"{scope.part} {name}", mininterval=1):
        batch = cases.take(rows)
        users = offline.load_user_batch(channel.feature_service, batch.user_ids.tolist(), batch.request_at_C)
        lists.append(channel.recall(users, RECALL_DEPTH).items_BK)
    items_CK = np.concatenate(lists) if lists else np.zeros((0, RECALL_DEPTH), dtype=np.int64)
    fit = channel.measures()
    measures = {"cases": len(cases), "seconds": float(fit.get("seconds", np.nan)), "steps": fit.get("steps")}
    network = getattr(channel, "network", None)
    measures["parameters"] = sum(parameter.numel() for parameter in network.parameters()) if network is not None else 0
    return measure_lists(items_CK, cases), channel.resolved_config, measures


def select_cases(data: TrainingData, part: str) -> RecallCases:
    """The sessions that channels are measured on.

    On validation they are another sample than that of the early stopping, as far as there are other cases.
    """
    return data.recall_cases(part).sample(CASES_PER_USER, CASES_SEED)


def measure_lists(items_CK: np.ndarray, cases: RecallCases, metrics: Sequence[str] = METRICS) -> pl.DataFrame:
    """One row per case with `user` and `<metric>/<part>` of its list (NaN without targets of the part)."""
    values = recall_metrics.measure_by_case(items_CK, cases, metrics)
    columns = {f"{metric}/{part}": value_C for metric, parts in values.items() for part, value_C in parts.items()}
    return pl.DataFrame({"user": cases.user_C} | columns)
