"""Ids for tracks, artists and albums of sources that only give names. Knows nothing about formats."""

from __future__ import annotations

import hashlib
import unicodedata


def name_id(*names: str) -> str:
    """The same id for the same names, whatever their case and Unicode form."""
    text = "\x1f".join(unicodedata.normalize("NFKC", name).casefold().strip() for name in names)
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:22]
