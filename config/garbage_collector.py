"""Keeps the garbage collector away from what lives as long as the process, or as long as a release.

A full collection walks every module, the registry and the release, a million objects and more, and no thread goes on
meanwhile, at a moment that nobody chose. Call this when something large has been loaded; what it is worth shows in
`make bench ONLY=event_to_read_p99` and `ONLY=event_broker`.
"""

from __future__ import annotations

import gc


def freeze_gc() -> None:
    """Collects once, now; what is left is not walked again before the next call."""
    gc.unfreeze()  # or a release that refers to itself would stay for ever
    gc.collect()
    gc.freeze()
