"""Erasing users from files of JSON lines without moving anything: their lines become blanks of the same length.

Others may append to the file meanwhile, and places in it that somebody noted (the push marker, the position of a request)
stay right. Who reads such files passes over blank lines. Knows nothing about what the lines say.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

ERASED_PREFIX = b" "
"""What a line begins with only once it was erased: the rest of one that a kill left half erased goes, too."""


def erase(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Blank the lines whose `user_id` is one of these, and broken lines that have one as a whole text; lines of each user.

    A line that is being appended is left alone unless it is of one of the users.
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
    """The id as a JSON text, with letters beyond ASCII escaped or not."""
    texts = {json.dumps(user_id), json.dumps(user_id, ensure_ascii=False)}
    return tuple(text.encode("utf-8", "surrogatepass") for text in sorted(texts))


def _user_of(line: bytes, spellings: dict[str, tuple[bytes, ...]]) -> str | None:
    named = [user for user, texts in spellings.items() if any(text in line for text in texts)]
    if not named:
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return named[0]
    whose = row.get("user_id") if isinstance(row, dict) else None
    return whose if whose in named else None


def _overwrite_with_blanks(descriptor: int, offset: int, length: int) -> None:
    written = 0
    while written < length:
        written += os.pwrite(descriptor, b" " * (length - written), offset + written)
