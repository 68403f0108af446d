"""Whom a row names that broke the contract: rows are told as they were read, JSON or fields between delimiters.

Knows nothing about which columns a source has.
"""

from __future__ import annotations

import json
import re

BETWEEN_FIELDS = re.compile(r"[,;|\t]")
BETWEEN_TEXTS = re.compile(r"[,:{}\[\]]")  # of JSON that is torn


def users_named(raw: str) -> set[str]:
    """The `user_id` of a JSON object; of anything else every field, for one of them may be it."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and "user_id" in row:
        return {str(row["user_id"]).strip()}
    if isinstance(row, dict | list):
        return set()
    fields = [*BETWEEN_FIELDS.split(raw), *BETWEEN_TEXTS.split(raw)]
    return {field.strip().strip('"') for field in fields} - {""}
