"""What Feast's registry says, noted beside it: to open Feast takes longer than many a channel to learn.

A note is of one registry, to the byte, so what is applied anew is asked of Feast again. Knows nothing about what is noted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

from config import settings

REGISTRY_FILE, REGISTRY_CACHE_FILE = "registry.db", "noted.json"


def read_cached_registry(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `ask` answers, as JSON has it; what was answered before, where that was asked of the same registry.

    Nothing where there is no registry to ask.
    """
    folder = settings.load_settings().feast
    registry, note = folder / REGISTRY_FILE, folder / REGISTRY_CACHE_FILE
    if not registry.exists():
        return {}
    of = hashlib.sha256(registry.read_bytes()).hexdigest()
    if note.exists() and (known := json.loads(note.read_text()))["registry"] == of:
        return dict(known["said"])
    said = ask()
    # Tasks run beside each other: each writes a file of its own, and the last one stays.
    writing = note.with_name(f"{REGISTRY_CACHE_FILE}.{os.getpid()}")
    writing.write_text(json.dumps({"registry": of, "said": said}, indent=2) + "\n")
    writing.replace(note)
    return said
