"""Version of the files of workspaces and releases, and the errors about missing or outdated ones."""

from __future__ import annotations

FORMAT = 10
"""Version of the files of a training workspace and of a release; files of another version are not read."""


class MissingInput(RuntimeError):
    """The output of an earlier task is missing; the message names it and the command that creates it."""


class OutdatedFormat(MissingInput):
    """Derived data of another version of Segue; the message names it and the command that removes it."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"{name} has format {version}, but this version of Segue reads format {FORMAT}; "
            "remove the derived data of the other version with `python -m local.migrate`"
        )
