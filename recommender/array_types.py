"""Types of arrays in signatures; the letters at the end of a variable name say which dimensions it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
AnyFloats = NDArray[np.floating]

Weights = Mapping[str, Array]
"""The weights of a trained network, by the names in its state dict."""
