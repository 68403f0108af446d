"""Whether SEGUE_HOME can be written and its disk has room, said in one sentence when not.

Knows nothing about what is written there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

LEAST_MB = 512
"""What a run of recipe `small` leaves (157 MB with the simulated world), three times over."""


class NoRoomError(RuntimeError):
    """SEGUE_HOME cannot be written or its disk is full; the message says which, and the remedy."""


def check_room(home: Path, least_mb: int = LEAST_MB) -> None:
    """Return when `home` is a folder, made if need be, whose disk has `least_mb` left.

    Raises:
        NoRoomError: it is not.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        left_mb = shutil.disk_usage(home).free >> 20
    except OSError as error:
        raise NoRoomError(
            f"SEGUE_HOME={home} cannot be written ({error.strerror}); choose another folder: SEGUE_HOME=PATH"
        ) from error
    if left_mb < least_mb:
        raise NoRoomError(
            f"the disk of SEGUE_HOME={home} has {left_mb} MB left where {least_mb} are needed; free some, or choose a folder on "
            "another disk: SEGUE_HOME=PATH"
        )
