"""Base class of the errors of erasure."""

from __future__ import annotations


class ErasureError(RuntimeError):
    """A step of an erasure failed; the message names the cause and the remedy. Completed steps stay completed."""
