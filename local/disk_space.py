"""Whether SEGUE_HOME can be written and its disk has room, said in one sentence when not.

Knows nothing about what is written there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

MIN_FREE_MB = 512
"""What a run of recipe `small` leaves (157 MB with the simulated world), three times over."""


class DiskSpaceError(RuntimeError):
    """SEGUE_HOME cannot be written or its disk is full; the message says which, and the remedy."""


def check_disk_space(home: Path, min_free_mb: int = MIN_FREE_MB) -> None:
    """Return when `home` is a folder, made if need be, whose disk has `least_mb` left.

    Raises:
        NoRoomError: it is not.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        left_mb = shutil.disk_usage(home).free >> 20
    except OSError as error:
        raise DiskSpaceError(
            f"SEGUE_HOME={home} cannot be written ({error.strerror}); choose another folder: SEGUE_HOME=PATH"
        ) from error
    if left_mb < min_free_mb:
        raise DiskSpaceError(
            f"the disk of SEGUE_HOME={home} has {left_mb} MB left where {min_free_mb} are needed; free some, or choose a folder on "
            "another disk: SEGUE_HOME=PATH"
        )
