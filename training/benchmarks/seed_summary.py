"""A figure over seeds: mean, standard deviation and every run. Knows nothing about what is measured."""

from __future__ import annotations

from typing import Any

import numpy as np


def summarize_seeds(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation (of one run, n − 1; none of a single run) over the runs, and the runs."""
    found: dict[str, Any] = {"runs": runs}
    for name in runs[0]:
        values = np.array([one[name] for one in runs])
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        found[name] = {"mean": float(values.mean()), "standard_deviation": spread}
    return found


def format_mean_std(figure: dict[str, Any]) -> str:
    """`0.1234 ± 0.0012` of a figure of `summary`."""
    spread = figure["standard_deviation"]
    return f"{figure['mean']:.4f}" + (f" ± {spread:.4f}" if spread is not None else "")
