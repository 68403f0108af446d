"""Published protocols on public data (`python -m research.public_data NAME`), and summaries over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np


def summarize_seeds(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and sample standard deviation (None for a single run) of each metric, and the runs."""
    summary: dict[str, Any] = {"runs": runs}
    for name in runs[0]:
        values = np.array([run[name] for run in runs])
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        summary[name] = {"mean": float(values.mean()), "standard_deviation": spread}
    return summary


def format_mean_std(metric: dict[str, Any]) -> str:
    """A metric of `summarize_seeds` as text, e.g. `0.1234 ± 0.0012`."""
    spread = metric["standard_deviation"]
    return f"{metric['mean']:.4f}" + (f" ± {spread:.4f}" if spread is not None else "")
