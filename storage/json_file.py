"""JSON files that may be missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty without the file.

    Raises:
        ValueError: The file has no JSON.
    """
    content: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return content
