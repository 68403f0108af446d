"""`python -m research.public_data NAME …`: run a protocol with several seeds. Ctrl-C stops it without output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

from research.public_data import knowledge_graph, leaderboard
from storage.files import write_json

PROTOCOLS: dict[str, ModuleType] = {
    "knowledge_graph": knowledge_graph,
    "leaderboard": leaderboard,
}
"""Modules with `add_arguments(parser)` and `run(arguments)`, which returns a JSON-serializable result."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, 2 for a missing or invalid input, or 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m research.public_data", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in PROTOCOLS.items():
        subparser = names.add_parser(name, help=(module.__doc__ or "").splitlines()[0], description=module.__doc__)
        module.add_arguments(subparser)
        subparser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(arguments)
    try:
        result = PROTOCOLS[options.name].run(options)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
