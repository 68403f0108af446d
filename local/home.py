"""Checks of SEGUE_HOME: no other user can read it, and this version can read what it holds.

The format number in `SEGUE_HOME/home_format` detects homes of other versions, whose derived state this version cannot read.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from config.settings import UMASK, Settings

HOME_FORMAT = 9  # increase if derived state of the previous version cannot be read
DERIVED_STATE = (
    *("training", "bentoml", "feast", "marts", "built", "dbt", "spark", "cache", "study", "ablations"),
    *("warehouse.duckdb*", "*.spill"),
)
"""Glob patterns of files and folders below SEGUE_HOME that a run rebuilds."""

CREATED_BY_SERVICES = ("bentoml", "feast")
"""Derived state that services also create in an empty home. Only a run fills `bentoml/models`."""


def restrict_access(home: Path) -> None:
    """Remove the access of other users to an existing home, whose files may be older than the umask of `load_settings`."""
    mode = home.stat().st_mode & 0o7777
    if mode & UMASK:
        with suppress(PermissionError):  # a volume that belongs to another user
            home.chmod(mode & ~UMASK)


class HomeFormatError(RuntimeError):
    """Another version wrote SEGUE_HOME; the message is one sentence with the remedy."""

    def __init__(self, home: Path, is_older: bool) -> None:
        self.is_older = is_older
        remedy = (
            "an earlier version of Segue; run `python -m local.migrate` once, which removes models, releases and other "
            "derived state and keeps logs and recorded events"
            if is_older
            else "a newer version of Segue; use that version, or another folder: SEGUE_HOME=PATH"
        )
        super().__init__(f"SEGUE_HOME={home} was written by {remedy}")


def check_home_format(settings: Settings) -> None:
    """Check that this version can use the home. A home without derived state is marked with the current format.

    Raises:
        HomeFormatError: The home has derived state of another version.
    """
    found = _read_home_format(settings)
    patterns = {*DERIVED_STATE, "bentoml/models/*"}.difference(CREATED_BY_SERVICES)
    has_state = any(any(settings.home.glob(pattern)) for pattern in patterns)
    if found > HOME_FORMAT or (found < HOME_FORMAT and has_state):
        raise HomeFormatError(settings.home, is_older=found < HOME_FORMAT)
    if found < HOME_FORMAT:
        write_home_format(settings)


def write_home_format(settings: Settings) -> None:
    """Mark the home as written by this version."""
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "home_format").write_text(f"{HOME_FORMAT}\n")


def _read_home_format(settings: Settings) -> int:
    """Format number of the home; 1 if it has none."""
    try:
        return int((settings.home / "home_format").read_text())
    except (OSError, ValueError):
        return 1
