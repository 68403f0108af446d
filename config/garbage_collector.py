"""Excludes long-lived objects from garbage collection to avoid long pauses.

A full collection traverses all modules, the registry and the release (more than a million objects) while all threads
wait. Call `freeze_gc` after loading large objects.
"""

from __future__ import annotations

import gc


def freeze_gc() -> None:
    """Collect garbage once and exclude all remaining objects from collections, for good.

    An excluded object is freed when nothing refers to it any more, unless it is in a reference cycle: releases have none.
    """
    gc.collect()
    gc.freeze()
