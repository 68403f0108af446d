"""Characters that ids of landed rows, and texts and ids of requests and events, may contain."""

from __future__ import annotations

import unicodedata

UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Unicode categories: control, surrogate, unassigned and private characters, and separators of lines and paragraphs."""


def is_printable(text: str) -> bool:
    """Whether the text has printable characters only, as `str.isprintable`, which however rejects the spaces of other scripts
    and the joiners of emoji and Persian words.
    """
    return text.isprintable() or not any(unicodedata.category(character) in UNPRINTABLE for character in text)
