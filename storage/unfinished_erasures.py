"""Ids of users whose erasure has begun and not ended, in `SEGUE_HOME/unfinished_erasures.json`, readable by its owner only.

An erasure that fails midway has erased the stores in which a user could be found, so that the next one needs the id. Only
who holds the lock of `privacy.erase` changes the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from storage.files import atomic_write
from storage.suppression_list import SuppressionListError

UNFINISHED_FILE = "unfinished_erasures.json"
UNSIGNED_EXIT_CODE = 3
"""Exit code of an erasure that is complete, but after which a release must be signed again."""
UNFINISHED_EXIT_CODE = 4
"""Exit code of an erasure after which bytes of erased rows are still in a file that a process reads."""


def read_unfinished(home: Path) -> set[str]:
    """The ids; empty without a file.

    Raises:
        SuppressionListError: The file is damaged.
    """
    path = home / UNFINISHED_FILE
    try:
        return set(map(str, json.loads(path.read_bytes())))
    except FileNotFoundError:
        return set()
    except (ValueError, TypeError) as error:
        raise SuppressionListError(
            f"{path} is damaged ({error}); delete it and run `python -m privacy.erase USER` for the users of "
            "unfinished erasures"
        ) from error


def add_unfinished(home: Path, user_ids: Iterable[str]) -> None:
    """Add users whose erasure begins; durable when it returns."""
    _write(home, read_unfinished(home).union(user_ids))


def remove_unfinished(home: Path, user_ids: Iterable[str]) -> None:
    """Remove users whose erasure has ended."""
    _write(home, read_unfinished(home).difference(user_ids))


def _write(home: Path, user_ids: set[str]) -> None:
    path = home / UNFINISHED_FILE
    if user_ids:
        atomic_write(path, json.dumps(sorted(user_ids)), is_durable=True, mode=0o600)
    else:
        path.unlink(missing_ok=True)
