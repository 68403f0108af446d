"""The most memory that this process has held at once."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_mb() -> int:
    """In MB. On Linux not `ru_maxrss`, which begins at what the parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024
