"""The most memory that this process has held at once."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Resident bytes. On Linux not `ru_maxrss`, which begins at what the parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def peak_mb() -> int:
    """The same in MB, of 2 ** 20 bytes."""
    return peak_bytes() >> 20
