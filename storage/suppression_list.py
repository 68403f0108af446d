"""Suppression list of erased users: salted hashes of user ids in `SEGUE_HOME/suppression_list.json`, and the ids of those whose erasure
has begun and not ended, in `SEGUE_HOME/unfinished_erasures.json`, readable by its owner only.

`privacy.erase` writes the list; landing and the recommender enforce it, so that erased data does not return. The file
contains no ids, but allows anyone who has it to test guesses: there are too few ids for a hash to hide them.

An erasure that fails midway has erased the stores in which a user could be found, so that the next one needs the id. Only
who holds the lock of `privacy.erase` changes the file of unfinished erasures.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage.files import atomic_write

SALT_BYTES = 32
FORMER_FILE = "forgotten.json"
"""Name of the list before format 9, read where there is no newer one: a list must never be lost."""


logger = logging.getLogger(__name__)


class SuppressionListError(ValueError):
    """The suppression list cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class SuppressionList:
    """Immutable set of user ids of which only salted hashes are stored."""

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT_BYTES))
    hashes: frozenset[str] = frozenset()

    def __contains__(self, user_id: object) -> bool:
        return bool(self.hashes) and isinstance(user_id, str) and self.code(user_id) in self.hashes

    def __len__(self) -> int:
        return len(self.hashes)

    def intersection(self, user_ids: Iterable[str]) -> set[str]:
        """The ids that are in the list."""
        return {user_id for user_id in user_ids if user_id in self} if self.hashes else set()

    def with_users(self, user_ids: Iterable[str]) -> SuppressionList:
        """Return the list with additional users."""
        return SuppressionList(self.salt, self.hashes.union(map(self.code, user_ids)))

    def without_users(self, user_ids: Iterable[str]) -> SuppressionList:
        """Return the list without these users, whose data may then be landed again."""
        return SuppressionList(self.salt, self.hashes.difference(map(self.code, user_ids)))

    def to_bytes(self) -> bytes:
        """Content of the file: JSON with the salt and the sorted hashes."""
        stored = {"salt": self.salt.hex(), "users": sorted(self.hashes)}
        return json.dumps(stored, indent=2).encode() + b"\n"

    def write(self, path: Path) -> None:
        """Write the file atomically and durably."""
        atomic_write(path, self.to_bytes(), is_durable=True)

    def code(self, user_id: str) -> str:
        """The hash of a user."""
        return hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=self.salt, digest_size=16).hexdigest()


def read_suppression_list(path: Path) -> SuppressionList:
    """Read the list; it is empty if the file does not exist.

    Raises:
        SuppressionListError: The file is damaged. Callers must stop, because data of erased users could return.
    """
    return parse_content(read_content(path), path)


def read_content(path: Path) -> bytes | None:
    """Content of the file, or of FORMER_FILE beside it; None if neither exists."""
    for file in (path, path.with_name(FORMER_FILE)):
        with suppress(FileNotFoundError):
            return file.read_bytes()
    return None


def content_digest(content: bytes | None) -> str:
    """Hash that identifies a version of the list; a missing file has the hash of empty content."""
    return hashlib.sha256(content or b"").hexdigest()


def parse_content(content: bytes | None, path: Path) -> SuppressionList:
    """Parse the content of the file; None gives an empty list, but empty content is damaged.

    Args:
        content: Content of the file; None if it does not exist.
        path: Path for the error message.

    Raises:
        SuppressionListError: The content is damaged.
    """
    if content is None:
        return SuppressionList()
    try:
        row = json.loads(content)
        return SuppressionList(bytes.fromhex(row["salt"]), frozenset(map(str, row["users"])))
    except (ValueError, KeyError, TypeError) as error:
        raise SuppressionListError(
            f"{path} is damaged ({error}); restore it from a backup, or delete it and erase its users again"
        ) from error


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


class SuppressionListFollower:
    """Holds the list for a process that keeps running; `reload`, which is called every second, follows its changes. Thread-safe.

    From a new version on, the process keeps nothing of its users, also nothing of a request that began before. Then it reports the
    digest of the version, after which the eraser may rewrite the files on the disk.

    Args:
        file: The list, `SEGUE_HOME/suppression_list.json`.
        erase: Called with each new version; nothing of its users may be kept when it returns, or later. Repeated by the next
            `reload` if it fails.

    Attributes:
        users: The current version.

    Raises:
        SuppressionListError: The list is damaged at the start. Later, the previous version stays in use.
    """

    def __init__(self, file: Path, erase: Callable[[SuppressionList], None]) -> None:
        self._file, self._erase, self._lock = file, erase, threading.Lock()
        self._content = read_content(file)
        self.users = parse_content(self._content, file)

    @property
    def digest(self) -> str:
        """Digest of the version that is in force everywhere in this process."""
        return content_digest(self._content)

    def reload(self) -> None:
        """Switch to a changed list.

        Raises:
            SuppressionListError, OSError: The list cannot be read; the previous version stays in use.
        """
        with self._lock:
            content = read_content(self._file)
            if content == self._content:
                return
            self.users = parse_content(content, self._file)
            self._erase(self.users)
            self._content = content
        logger.info(
            "%d users are erased: their events are rejected, and their requests are answered as for unknown users",
            len(self.users),
        )
