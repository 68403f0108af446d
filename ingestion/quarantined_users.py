"""Finds user ids in the raw text of quarantined rows, so that rows of erased users can be dropped."""

from __future__ import annotations

import json
import re

FIELD_SEPARATORS = re.compile(r"[,;|\t]")
JSON_SEPARATORS = re.compile(r"[,:{}\[\]]")  # of truncated JSON


def extract_user_ids(raw: str) -> set[str]:
    """The `user_id` of a JSON object; for other text all delimited fields, since any of them may be the user id."""
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
