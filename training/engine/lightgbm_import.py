"""LightGBM, imported without scikit-learn, which takes most of its import and is needed for its estimators only.

scikit-learn can be imported later as usual. `train_trees` fits with a progress bar, because minutes without output look
like a fit that hangs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

_modules: dict[str, Any] = sys.modules
_is_hidden = "sklearn" not in _modules
if _is_hidden:
    _modules["sklearn"] = None  # an import raises ImportError
try:
    import lightgbm
finally:
    if _is_hidden:
        del _modules["sklearn"]

__all__ = ["lightgbm", "train_trees"]


def train_trees(
    parameters: Mapping[str, Any],
    data: lightgbm.Dataset,
    count: int,
    description: str,
) -> lightgbm.Booster:
    """Fit trees with a progress bar.

    Args:
        parameters: LightGBM's parameters.
        data: Training data.
        count: Number of trees.
        description: Label of the progress bar.
    """
    with tqdm(total=count, desc=description, unit="tree", mininterval=1) as bar:

        def show_progress(_: Any) -> None:
            bar.update()

        return lightgbm.train(dict(parameters), data, count, callbacks=[show_progress])
