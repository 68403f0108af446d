"""The anchor's scoring code: the script itself where it is at hand, else the same formulas restated.

`interval` and `recall_by_user`, `auc_by_user` below say in plain Python what a figure is.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np

from config import settings

SCRIPT = settings.ROOT.parent / "shared" / "anchors" / "score.py"


def script() -> ModuleType | None:
    """The anchor's `score.py` as a module; None where it is not beside the repository."""
    if not SCRIPT.exists():
        return None
    spec = importlib.util.spec_from_file_location("anchor_score", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interval(values: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Weighted mean over users and its 95 % bootstrap interval: 1,000 draws, seed 0."""
    draws = np.random.default_rng(0).integers(len(values), size=(1000, len(values)))
    means = (values[draws] * weights[draws]).sum(1) / weights[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.average(values, weights=weights)), float(low), float(high)


def recall_by_user(cases: list[tuple[str, set[int], list[int]]], k: int) -> dict[str, float]:
    """Each user's mean recall@k over (user, targets, list) cases that have a target."""
    shares: dict[str, list[float]] = {}
    for user, targets, items in cases:
        if targets:
            shares.setdefault(user, []).append(len(targets & set(items[:k])) / len(targets))
    return {user: sum(values) / len(values) for user, values in shares.items()}


def auc_by_user(rows: list[tuple[str, int, float]]) -> dict[str, tuple[float, int]]:
    """Each user's AUC over all pairs, ties a half, with the number of plays; users with one class are left out."""
    found = {}
    for user in sorted({user for user, _, _ in rows}):
        mine = [(label, score) for one, label, score in rows if one == user]
        above = [score for label, score in mine if label]
        below = [score for label, score in mine if not label]
        pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in above for b in below]
        if pairs:
            found[user] = (sum(pairs) / len(pairs), len(mine))
    return found
