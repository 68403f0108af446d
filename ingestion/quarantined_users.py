"""Whom a row names that broke the contract: rows are told as they were read, JSON or fields between delimiters.

Knows nothing about which columns a source has.
"""

from __future__ import annotations

import json
import re

FIELD_SEPARATORS = re.compile(r"[,;|\t]")
JSON_SEPARATORS = re.compile(r"[,:{}\[\]]")  # of JSON that is torn


def extract_user_ids(raw: str) -> set[str]:
    """The `user_id` of a JSON object; of anything else every field, for one of them may be it."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and "user_id" in row:
        return {str(row["user_id"]).strip()}
    if isinstance(row, dict | list):
        return set()
    fields = [*FIELD_SEPARATORS.split(raw), *JSON_SEPARATORS.split(raw)]
    return {field.strip().strip('"') for field in fields} - {""}
