"""All public data sets that docs/results.md has, with the options of its table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from config import settings
from research.public_data import sequences

PUBLIC_DATA = settings.ROOT.parent / "shared" / "data"
DATA_SETS = {"lastfm": "sequences/LastFM.txt", "beauty": "sequences/Beauty.txt"}
"""Name → place in the folder of the data."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the leaderboard."""
    parser.add_argument("--data", type=Path, default=PUBLIC_DATA, help="folder of the public data")
    parser.add_argument("--only", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    parser.add_argument("--seeds", default="3")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return the results by data set; those without files are left out.

    Raises:
        ValueError: The number of seeds is invalid.
    """
    results = {}
    for name in options.only:
        file = options.data / DATA_SETS[name]
        if not file.exists():
            print(f"{name} is left out: there is no {file}; name its folder with DATA", flush=True)
            continue
        parser = argparse.ArgumentParser()
        sequences.add_arguments(parser)
        words = ["--file", str(file), "--channel", "realtime", "--seeds", options.seeds]
        results[name] = sequences.run(parser.parse_args(words))
    return results
