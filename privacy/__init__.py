"""Erasure of users from every store: `erase.py` is the entry point, every store has one file. No other package imports this one.

Erasers of stores: `tables`, `recommender_files`, `online_store`, `releases`. Eraser of a file format: `parquet`.
"""

import sys


class ErasureError(RuntimeError):
    """A step of an erasure failed; the message names the cause and the remedy. Completed steps stay completed."""


class UnreadableFile(ErasureError):
    """A file is damaged or is being written; the message names it and the remedy."""


def print_progress(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)
