"""Suggestions for unknown fields and paths: misspellings and synonyms. Independent of HTTP."""

from __future__ import annotations

import difflib
from collections.abc import Collection

SYNONYMS = (
    ("limit", "n", "k", "num", "count", "size", "top", "topk", "max", "amount", "length"),
    ("length", "limit", "n", "k", "num", "count", "size", "steps"),
    ("user_id", "user", "uid", "id", "listener", "listener_id", "username"),
    ("track_id", "track", "song", "song_id", "item", "item_id"),
    ("target_id", "track_id", "track", "item", "item_id", "song_id"),
    ("target_type", "type", "item_type"),
    ("query", "q", "text", "term"),
    ("exclude", "excluded", "skip", "blocklist"),
    ("seeds", "seed", "tracks", "track_ids", "playlist"),
    ("occurred_at", "timestamp", "time", "ts", "listened_at", "created_at"),
    ("played_ms", "duration", "duration_ms", "ms", "seconds"),
    ("action", "event", "event_type", "kind"),
    ("language", "lang", "locale"),
    ("territory", "country", "region", "market"),
    ("discovery", "novelty", "exploration"),
)
"""A name of the API and names that other APIs use for the same."""
MIN_SIMILARITY = 0.6


def suggest(name: str, allowed: Collection[str]) -> str | None:
    """The allowed name that `name` probably means: a misspelling, another notation or a synonym; None if none is near."""
    plain = {_plain(one): one for one in allowed}
    key = _plain(name)
    if key in plain:
        return plain[key]
    for own, *others in SYNONYMS:
        if own in allowed and key in map(_plain, others):
            return own
    near = difflib.get_close_matches(key, plain, n=1, cutoff=MIN_SIMILARITY)
    return plain[near[0]] if near else None


def did_you_mean(name: str, allowed: Collection[str]) -> str:
    """ "; did you mean `...`?", or the allowed names if none is near."""
    found = suggest(name, allowed)
    return f"; did you mean `{found}`?" if found else f"; allowed are {', '.join(allowed)}"


def _plain(name: str) -> str:
    return name[:64].lower().replace("_", "").replace("-", "")
