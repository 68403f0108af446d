"""`python -m training.benchmarks NAME …`: a published protocol, with the spread over seeds. Ctrl-C stops it cleanly."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.benchmarks import BENCHMARKS
from training.engine.workspace import write_json


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 2 for an input that is not there or not as expected, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHMARKS.items():
        own = names.add_parser(name, help=(module.__doc__ or "").splitlines()[0], description=module.__doc__)
        module.add_arguments(own)
        own.add_argument("--json", type=Path, help="write the result there too")
    options = parser.parse_args(arguments)
    try:
        result = BENCHMARKS[options.name].run(options)
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
