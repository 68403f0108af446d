"""API keys of clients.

Only hashes of keys are stored, so that no log or traceback can reveal one. Independent of HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

MIN_KEY_LENGTH = 16


class ApiKeys:
    """The accepted keys. An empty set accepts no key.

    Raises:
        ValueError: A key is too short to be secret, or cannot be sent in a header; the message does not contain it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        all_keys = list(keys)
        for defect, wrong in (
            (f"has less than {MIN_KEY_LENGTH} characters", [len(key) < MIN_KEY_LENGTH for key in all_keys]),
            ("has characters outside printable ASCII", [not (key.isascii() and key.isprintable()) for key in all_keys]),
        ):
            if any(wrong):
                places = ", ".join(str(place) for place, is_wrong in enumerate(wrong, start=1) if is_wrong)
                raise ValueError(
                    f"API key {places} of {len(all_keys)} {defect}; generate each with "
                    "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
                )
        self._digests = [_digest(key) for key in all_keys]

    def __bool__(self) -> bool:
        """Whether there are any keys."""
        return bool(self._digests)

    def identify_client(self, key: str) -> str | None:
        """A client name derived from a valid key by hashing; None for a wrong key. Compares in constant time."""
        digest = _digest(key)
        found = [hmac.compare_digest(digest, one) for one in self._digests]
        return digest.hex()[:12] if any(found) else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
