"""Feast's command line for tests, which starts faster than the program `feast`."""

import sys

FEAST = (sys.executable, "-m", "sequences.feast_command")
"""Words to put before Feast's arguments; the working directory must be the root of the repository."""
