"""Characters that ids of landed rows, and texts and ids of requests and events, may contain."""

from __future__ import annotations

import unicodedata

UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Unicode categories: control, surrogate, unassigned and private characters, and separators of lines and paragraphs."""


_UNPRINTABLE_RANGES = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
PRINTABLE_PATTERN = f"^[^{_UNPRINTABLE_RANGES}]*$"
"""`is_printable` as a regular expression of Python and JavaScript, which accepts unassigned and private characters, too."""
ID_PATTERN = rf"^[^\s{_UNPRINTABLE_RANGES}]([^{_UNPRINTABLE_RANGES}]*[^\s{_UNPRINTABLE_RANGES}])?$"
"""The same for ids, which are not empty and neither begin nor end with white space."""


def is_printable(text: str) -> bool:
    """Whether the text has printable characters only, as `str.isprintable`, which however rejects the spaces of other scripts
    and the joiners of emoji and Persian words.
    """
    return text.isprintable() or not any(unicodedata.category(character) in UNPRINTABLE for character in text)
