"""`python -m sequences.skew`: the daily check of training/serving skew (`daily_check.py`)."""

from __future__ import annotations

import gc
import sys

from sequences.skew.daily_check import main

if __name__ == "__main__":
    code = main()
    gc.freeze()  # otherwise the interpreter scans all imported objects for garbage before it exits
    sys.exit(code)
