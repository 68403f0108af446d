"""Erasure of users from JSON-lines files in place: their lines are overwritten with blanks of the same length.

Other processes may append meanwhile, and recorded offsets (low watermark, log position of a request) stay valid. Readers
skip blank lines. Independent of the content of lines.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

ERASED_PREFIX = b" "
"""First byte of erased lines only; a line that an interrupted run erased partially is completed by the next run."""


def erase(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Blank the users' lines: those with their `user_id`, and invalid lines that contain it as a JSON string.

    A line that is being appended is not touched unless it contains one of the users.

    Returns:
        The number of lines per user.
    """
    spellings = {user: _spellings(user) for user in user_ids}
    erased: Counter[str] = Counter()
    with path.open("rb+", buffering=0) as file:
        offset = 0
        with path.open("rb") as lines:
            for line in lines:
                text = line.rstrip(b"\n")
                if text.startswith(ERASED_PREFIX):
                    if text.strip():
                        _overwrite_with_blanks(file.fileno(), offset, len(text))
                elif (user := _user_of(text, spellings)) is not None:
                    _overwrite_with_blanks(file.fileno(), offset, len(text))
                    erased[user] += 1
                offset += len(line)
        os.fsync(file.fileno())
    return erased


def _spellings(user_id: str) -> tuple[bytes, ...]:
    """Encodings of the id as a JSON string, with non-ASCII characters escaped and unescaped."""
    texts = {json.dumps(user_id), json.dumps(user_id, ensure_ascii=False)}
    return tuple(text.encode("utf-8", "surrogatepass") for text in sorted(texts))


def _user_of(line: bytes, spellings: dict[str, tuple[bytes, ...]]) -> str | None:
    mentioned = [user for user, texts in spellings.items() if any(text in line for text in texts)]
    if not mentioned:
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return mentioned[0]
    user_id = row.get("user_id") if isinstance(row, dict) else None
    return user_id if user_id in mentioned else None


def _overwrite_with_blanks(descriptor: int, offset: int, length: int) -> None:
    written = 0
    while written < length:
        written += os.pwrite(descriptor, b" " * (length - written), offset + written)
