"""Who was forgotten, so that they stay forgotten: salted hashes of user ids in one small file, `SEGUE_HOME/forgotten.json`.

`privacy.erase` writes it, landing and the recommender ask it. The file names nobody, but who holds it and guesses an id
can find the guess confirmed: ids are too few for a hash to hide them. Knows nothing about what is forgotten of a user.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SALT_BYTES = 32


class SuppressionListError(ValueError):
    """The file of forgotten users cannot be read; the message names it and the remedy."""


@dataclass(frozen=True)
class SuppressionList:
    """A set of user ids that knows only their hashes."""

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT_BYTES))
    hashes: frozenset[str] = frozenset()

    def __contains__(self, user_id: object) -> bool:
        return bool(self.hashes) and isinstance(user_id, str) and self._hash(user_id) in self.hashes

    def __len__(self) -> int:
        return len(self.hashes)

    def intersection(self, user_ids: Iterable[str]) -> set[str]:
        """Those of the ids that were forgotten."""
        return {user_id for user_id in user_ids if user_id in self} if self.hashes else set()

    def with_users(self, user_ids: Iterable[str]) -> SuppressionList:
        """The set with these users in it, too."""
        return SuppressionList(self.salt, self.hashes.union(map(self._hash, user_ids)))

    def without_users(self, user_ids: Iterable[str]) -> SuppressionList:
        """The set without these users: they may come back."""
        return SuppressionList(self.salt, self.hashes.difference(map(self._hash, user_ids)))

    def to_bytes(self) -> bytes:
        """The file."""
        stored = {"salt": self.salt.hex(), "users": sorted(self.hashes)}
        return json.dumps(stored, indent=2).encode() + b"\n"

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all, and on the disk when it returns."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".writing")
        with draft.open("wb") as file:
            file.write(self.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _hash(self, user_id: str) -> str:
        return hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=self.salt, digest_size=16).hexdigest()


def read_suppression_list(path: Path) -> SuppressionList:
    """Who was forgotten: nobody where there is no file.

    Raises:
        ForgottenError: the file is damaged. Nobody goes on without it: people would come back.
    """
    return parse_content(read_content(path), path)


def read_content(path: Path) -> bytes | None:
    """The bytes of the file; None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def content_digest(content: bytes | None) -> str:
    """What tells one list from another, and from none."""
    return hashlib.sha256(content or b"").hexdigest()


def parse_content(content: bytes | None, path: Path) -> SuppressionList:
    """Who is in the content of the file: nobody if there is none. An empty file is a damaged one.

    Raises:
        ForgottenError: it is damaged; `path` is named.
    """
    if content is None:
        return SuppressionList()
    try:
        row = json.loads(content)
        return SuppressionList(bytes.fromhex(row["salt"]), frozenset(map(str, row["users"])))
    except (ValueError, KeyError, TypeError) as error:
        raise SuppressionListError(
            f"{path} is damaged ({error}); take it from a backup, or remove it and forget its users again"
        ) from error
