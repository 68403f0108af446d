"""Last log line of a failed task: the reason, and what to do.

Imports nothing but the standard library, because `local/pipeline.py` uses it before it imports Airflow.
"""

from __future__ import annotations

import os
import shutil

DISK_FULL_MB = 16  # a disk with less free space counts as full


def format_failure(reason: object, remedy: str) -> str:
    """Last log line of a failed task.

    Args:
        reason: Why it failed.
        remedy: What to do about a failure of this task. If the disk is full, that comes first.
    """
    return f"{reason}. What to do: {disk_full_remedy()}{remedy}"


def format_exit_code(code: int) -> str:
    """Reason of a failed command, which has logged the details itself."""
    return f"exit code {code}: see the log lines above"


def disk_full_remedy() -> str:
    """Remedy for a full disk, which the log may not mention; empty if there is free space."""
    home = os.environ.get("SEGUE_HOME")
    if not home or shutil.disk_usage(home).free >> 20 >= DISK_FULL_MB:
        return ""
    return f"The disk of SEGUE_HOME={home} is full: free space, then clear this task. If that does not help: "
