"""All public data sets that docs/results.md has, with the options of its table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from config import settings
from research.public_data import knowledge_graph

PUBLIC_DATA = settings.ROOT.parent / "shared" / "data"
DATA_SETS: dict[str, tuple[Any, str, str, tuple[str, ...]]] = {
    "lastfm_knowledge_graph": (knowledge_graph, "--folder", "lastfm_knowledge_graph", ()),
}
"""Name → protocol, the option of its files, their place in the folder of the data, and other options."""


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
        protocol, option, place, others = DATA_SETS[name]
        if not (options.data / place).exists():
            print(f"{name} is left out: there is no {options.data / place}; name its folder with DATA", flush=True)
            continue
        parser = argparse.ArgumentParser()
        protocol.add_arguments(parser)
        words = [option, str(options.data / place), *others, "--seeds", options.seeds]
        results[name] = protocol.run(parser.parse_args(words))
    return results
