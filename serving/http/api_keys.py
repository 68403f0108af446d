"""Whose word counts: the API keys that a client may show, and where the service needs them.

Only hashes of keys are kept, so that neither a log nor a traceback can show one. Knows nothing about HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from config.settings import is_loopback

MIN_KEY_LENGTH = 16


class ApiKeysRequired(RuntimeError):
    """The service would answer anybody who reaches it; the message says how to give it keys."""


class ApiKeys:
    """The keys that are accepted. An empty set accepts nobody: then nobody should be asked.

    Raises:
        ValueError: a key is too short to be a secret; the message does not tell it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        given = list(keys)
        short = [str(place) for place, key in enumerate(given, start=1) if len(key) < MIN_KEY_LENGTH]
        if short:
            raise ValueError(
                f"API key {', '.join(short)} of {len(given)} has less than {MIN_KEY_LENGTH} characters; make each with "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        self._digests = [_digest(key) for key in given]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._digests)

    def identify_client(self, key: str) -> str | None:
        """A name for whoever shows this key, which does not give it away; None for a wrong one.

        Takes as long for a key that is almost right as for any other.
        """
        digest = _digest(key)
        found = [hmac.compare_digest(digest, one) for one in self._digests]
        return digest.hex()[:12] if any(found) else None


def check_host(host: str, keys: ApiKeys) -> None:
    """Whether the service may listen there.

    Raises:
        KeysNeeded: others than this machine could reach it, and it has no keys.
    """
    if not keys and not is_loopback(host):
        raise ApiKeysRequired(
            f"the service would answer everybody who reaches {host}; give it keys in SEGUE_API_KEYS (separated by commas) or "
            "in the file SEGUE_API_KEYS_FILE (one a line), or SEGUE_HOST=127.0.0.1"
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
