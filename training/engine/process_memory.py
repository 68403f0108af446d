"""Freed memory that stays with the process, so that the next step of a fit takes it without asking the system.

A step frees tensors of some MiB each and makes the same anew. glibc gives them back to the system in between, whose fresh
pages cost a fifth of a step of `realtime` (docs/adr/0043). Knows nothing about torch.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's <malloc.h>."""
MAX_RETAINED_BYTES = 256 << 20
MAX_BLOCK_BYTES = 32 << 20
"""The largest that glibc takes for MMAP_THRESHOLD; a larger block goes back to the system at once."""


@cache
def retain_freed_memory() -> bool:
    """Keep up to KEPT_BYTES of what was freed in blocks of up to LARGEST_BYTES; whether this system's allocator does."""
    if not sys.platform.startswith("linux"):
        return False
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is None:  # not glibc
        return False
    return bool(adjust(MMAP_THRESHOLD, MAX_BLOCK_BYTES)) and bool(adjust(TRIM_THRESHOLD, MAX_RETAINED_BYTES))
