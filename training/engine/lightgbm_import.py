"""LightGBM, imported without scikit-learn, which takes most of its import and is needed for its estimators only.

scikit-learn can be imported later as usual. `train_trees` fits with a progress bar, because minutes without output look
like a fit that hangs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
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
    valid_sets: Sequence[lightgbm.Dataset] = (),
    callbacks: Sequence[Callable[..., Any]] = (),
    first: lightgbm.Booster | None = None,
) -> lightgbm.Booster:
    """Fit trees with a progress bar.

    Args:
        parameters: LightGBM's parameters.
        data: Training data.
        count: Number of trees; fewer if a callback stops earlier.
        description: Label of the progress bar.
        valid_sets: Data that callbacks such as early stopping need.
        callbacks: LightGBM's callbacks.
        first: Trees to continue; they are part of the result, but not of `count`.
    """
    with tqdm(total=count, desc=description, unit="tree", mininterval=1) as bar:

        def show_progress(_: Any) -> None:
            bar.update()

        return lightgbm.train(
            dict(parameters),
            data,
            count,
            valid_sets=list(valid_sets),
            callbacks=[show_progress, *callbacks],
            init_model=first,
        )
