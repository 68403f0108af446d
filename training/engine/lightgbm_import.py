"""LightGBM, imported without scikit-learn, which takes most of its import and is needed for its estimators only.

scikit-learn can be imported later as usual.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_is_hidden = "sklearn" not in _modules
if _is_hidden:
    _modules["sklearn"] = None  # an import raises ImportError
try:
    import lightgbm
finally:
    if _is_hidden:
        del _modules["sklearn"]

__all__ = ["lightgbm"]
