"""Sizes of long tests."""

from __future__ import annotations

import os

from tests.support import acceptance_plugin

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))


def sized(full: int, small: int) -> int:
    """`full` in `make acceptance`, else `small`."""
    return max(1, round(full * acceptance_plugin.SHARE)) if FULL else small
