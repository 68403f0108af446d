"""Memory of this process: its peak size, and reuse of freed blocks between training steps."""

from __future__ import annotations

import ctypes
import resource
import sys
from functools import cache
from pathlib import Path

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's <malloc.h>
MAX_RETAINED_BYTES = 256 << 20
MAX_BLOCK_BYTES = 32 << 20  # upper limit that glibc accepts for MMAP_THRESHOLD; larger blocks are always unmapped


def peak_bytes() -> int:
    """Peak resident memory of this process in bytes.

    On Linux read from VmHWM, since `ru_maxrss` of a child process starts at the size of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def peak_mb() -> int:
    """Peak resident memory of this process in MiB."""
    return peak_bytes() >> 20


@cache
def retain_freed_memory() -> bool:
    """Make glibc keep up to MAX_RETAINED_BYTES of freed blocks of up to MAX_BLOCK_BYTES each.

    Every training step frees tensors of some MiB and allocates the same again. By default glibc returns them to the
    system in between, and the page faults of fresh memory take a fifth of a step of `realtime` (docs/adr/0043).

    Returns:
        Whether the allocator of this system supports it.
    """
    if not sys.platform.startswith("linux"):
        return False
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is None:  # not glibc
        return False
    return bool(adjust(MMAP_THRESHOLD, MAX_BLOCK_BYTES)) and bool(adjust(TRIM_THRESHOLD, MAX_RETAINED_BYTES))
