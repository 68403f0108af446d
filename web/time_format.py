"""Format of times on HTML pages: UTC, to the minute."""

from __future__ import annotations


def format_utc_minute(timestamp: str) -> str:
    """An ISO 8601 UTC timestamp to the minute, `2026-07-01 12:30 UTC`; any other text unchanged."""
    is_timestamp = len(timestamp) >= 16 and timestamp[10] == "T"
    return f"{timestamp[:10]} {timestamp[11:16]} UTC" if is_timestamp else timestamp
