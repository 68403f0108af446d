"""Check that SEGUE_HOME is writable and that its disk has free space, with the remedy if not."""

from __future__ import annotations

import shutil
from pathlib import Path

MIN_FREE_MB = 512  # three times the output of recipe `small` with its simulated world (157 MB)


class DiskSpaceError(RuntimeError):
    """SEGUE_HOME is not writable or its disk is full; the message states which, and the remedy."""


def check_disk_space(home: Path, min_free_mb: int = MIN_FREE_MB) -> None:
    """Check that `home` is a folder (created if missing) on a disk with at least `min_free_mb` free.

    Raises:
        DiskSpaceError: It is not.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(home).free >> 20
    except OSError as error:
        raise DiskSpaceError(
            f"SEGUE_HOME={home} cannot be written ({error.strerror}); choose another folder: SEGUE_HOME=PATH"
        ) from error
    if free_mb < min_free_mb:
        raise DiskSpaceError(
            f"the disk of SEGUE_HOME={home} has {free_mb} MB left where {min_free_mb} are needed; free some, or choose a "
            "folder on another disk: SEGUE_HOME=PATH"
        )
