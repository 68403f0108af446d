"""One recall channel of a study: fitted, and how much of each validation session it finds.

Legend: C validation cases. Knows nothing about studies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from training.data.recall_at_k import iterate_chunks
from training.data.user_batch import OfflineFeatures
from training.evaluation.metrics import recall_metrics
from training.recall import CHANNELS

CASES_PER_USER, CASES_SEED = 12, 1
RECALL_DEPTH = 200
METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")


def measure(name: str, offline: OfflineFeatures, config: Any, folder: Path) -> tuple[pl.DataFrame, Any, dict[str, Any]]:
    """Columns user and `<metric>/<part>` (NaN where a case has no target of that part), a row a case, at most
    CASES_PER_USER of a user; the settled config; what the fit told.
    """
    data = offline.data
    channel = CHANNELS[name].fit(data, config, folder)
    # Not the cases that the fit chooses its steps by, as far as there are others.
    cases = data.recall_cases("validation").sample(CASES_PER_USER, CASES_SEED)
    found = []
    for rows in tqdm(list(iterate_chunks(len(cases))), desc=f"validate {name}", mininterval=1):
        some = cases.take(rows)
        users = offline.load_user_batch(channel.feature_service, some.user_ids.tolist(), some.request_at_C)
        found.append(channel.recall(users, RECALL_DEPTH).items_BK)
    items_CK = np.concatenate(found) if found else np.zeros((0, RECALL_DEPTH), dtype=np.int64)
    values = recall_metrics.measure_by_case(items_CK, cases, METRICS)
    columns = {f"{metric}/{part}": value_C for metric, parts in values.items() for part, value_C in parts.items()}
    told = channel.measures()
    kept = {"cases": len(cases), "seconds": float(told.get("seconds", np.nan)), "steps": told.get("steps")}
    network = getattr(channel, "network", None)
    kept["parameters"] = sum(one.numel() for one in network.parameters()) if network is not None else 0
    return pl.DataFrame({"user": cases.user_C} | columns), channel.resolved_config, kept
