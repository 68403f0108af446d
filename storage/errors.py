"""Error of the tables on disk or in a bucket."""

from __future__ import annotations


class StorageError(RuntimeError):
    """Tables cannot be read or written; the message names the path or URL, the cause and the remedy."""
