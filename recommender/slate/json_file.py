"""Parameters of the served list that are stored as one JSON file each."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from config.dataclass_io import config_from_dict
from storage.files import write_json


class JsonFile:
    """Base of a dataclass."""

    def save(self: Any, path: Path) -> None:
        """Write one JSON file."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that `save` wrote.

        Raises:
            ValueError: A field is missing, has another type or is out of range.
        """
        return config_from_dict(cls, json.loads(path.read_text()))
