"""Hook of Feast's feature server: `feast serve` calls `load_artifacts` of a module with this name when it starts."""

import math
from typing import Any

from feast import feature_server_utils


def load_artifacts(_app: Any) -> None:
    """Make the server return unknown numbers as null; Feast returns the text "NaN", which a client cannot read as a number.

    Feast has no setting for it, so its function is replaced in the process of the server.
    """
    server: Any = feature_server_utils
    server._float_to_native = lambda number: number if math.isfinite(number) else None
