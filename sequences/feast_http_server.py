"""Changes of Feast's HTTP feature server (`feast serve`), applied when it starts (`feature_repo/static_artifacts.py`)."""

from __future__ import annotations

import math
from typing import Any

from feast import feature_server_utils


def return_unknown_numbers_as_null() -> None:
    """Return unknown numbers as null; Feast returns the text "NaN", which a client cannot read as a number.

    Feast has no setting for it, so its function is replaced in the process of the server.
    """
    server: Any = feature_server_utils
    server._float_to_native = lambda number: number if math.isfinite(number) else None
