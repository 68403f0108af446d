"""Hook of Feast's feature server: `feast serve` calls `load_artifacts` of a module with this name when it starts."""

from typing import Any

from sequences.feast_http_server import return_unknown_numbers_as_null


def load_artifacts(_app: Any) -> None:
    """Change the responses of the server."""
    return_unknown_numbers_as_null()
