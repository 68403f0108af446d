"""Dense features of training cases on disk: the fit of a ranker writes them, and the trees alone of the evaluation read
them.

The features of a case take longer than its share of a network's training. A fit has at most one file: writing one removes
others, which are of other cases, features or code. Shape letters: R cases, N dense features.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from storage.files import open_draft
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.ranking.case_batches import CaseBatches, CaseFeatures
from training.ranking.cases import RankingCases
from training.ranking.ranker import FeatureConfig

PREFIX, SUFFIX = "dense_features_", ".npz"
MIN_CASES = 10_000
"""Fewer cases are computed again within seconds."""


def find_file(
    data: TrainingData, contract: ServiceContract, features: FeatureConfig, cases: RankingCases
) -> Path | None:
    """File of the features of these cases; None if they are not cached: a final fit is not evaluated.

    Args:
        data: Training data, with the folder of cached arrays.
        contract: Feature service of the ranker.
        features: Resolved features of the ranker.
        cases: Cases.
    """
    if data.cache_folder is None or data.fit == "final" or len(cases) < MIN_CASES:
        return None
    inputs = [asdict(contract), asdict(features)]
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    for values_R in (cases.user_R, cases.request_at_R, cases.item_R):
        digest.update(np.ascontiguousarray(values_R).data)
    return data.cache_folder / f"{PREFIX}{digest.hexdigest()[:16]}{SUFFIX}"


def load_or_compute(batches: CaseBatches, processes: int, file: Path | None) -> None:
    """Set the dense features of all cases, from the file if it exists; else compute them, and write it."""
    if load(batches, file):
        return
    batches.precompute_dense_features(processes)
    if file is not None and batches.dense_features is not None:
        _save(batches.dense_features, file)


def load(batches: CaseBatches, file: Path | None) -> bool:
    """Set the dense features of all cases from the file; False if it does not exist."""
    if file is None or not file.exists():
        return False
    with np.load(file, allow_pickle=False) as arrays:
        batches.dense_features = CaseFeatures(arrays["features_RN"], tuple(arrays["widths"].tolist()))
    return True


def _save(features: CaseFeatures, file: Path) -> None:
    """Write the file atomically and remove those of other features of the same fit."""
    with open_draft(file, is_contended=True) as draft, draft.open("wb") as opened:
        np.savez(opened, features_RN=features.features_RN, widths=np.array(features.widths))
    for other in file.parent.glob(f"{PREFIX}*{SUFFIX}"):
        if other != file:
            other.unlink(missing_ok=True)
