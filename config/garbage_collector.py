"""Excludes long-lived objects from garbage collection to avoid long pauses.

A full collection traverses all modules, the registry and the release (more than a million objects) while all threads
wait. Call `freeze_gc` after loading large objects; `make bench ONLY=event_to_read_p99` measures the effect.
"""

from __future__ import annotations

import gc


def freeze_gc() -> None:
    """Collect garbage once and exclude all remaining objects from collections until the next call."""
    gc.unfreeze()  # otherwise frozen objects in reference cycles, such as old releases, would never be freed
    gc.collect()
    gc.freeze()
