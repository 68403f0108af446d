"""May what was landed and published pass? `python -m quality.validate --as-of 2026-07-01 [--stage landed|marts]`.

Exit code 0: every expectation holds. 1: the failed ones are named. 2: a table is not there.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date

import settings


def main(arguments: list[str] | None = None) -> int:
    """Validates, prints one line a suite and one a failed expectation, and builds the data docs in any case."""
    parser = argparse.ArgumentParser(prog="python -m quality.validate", description=__doc__)
    parser.add_argument(
        "--as-of", type=date.fromisoformat, required=True, help="first day that is not known, YYYY-MM-DD"
    )
    parser.add_argument("--stage", choices=["landed", "marts", "all"], default="all", help="what to validate")
    options = parser.parse_args(arguments)
    home = settings.load()
    os.environ.update(settings.tool_environment(home))

    # Only now: Great Expectations reads its usage reporting from the environment when it is imported.
    from quality.tables import TableError
    from quality.validation import Validator, validate_landed, validate_marts

    site = home.reports / "data_docs"
    validator = Validator(site)
    outcomes = []
    try:
        if options.stage in ("landed", "all"):
            outcomes += validate_landed(home, options.as_of, validator)
        if options.stage in ("marts", "all"):
            outcomes += validate_marts(home, options.as_of, validator)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        validator.build_docs()
    for outcome in outcomes:
        print(f"{'FAILED' if outcome.failed else 'ok':6} {outcome.suite}: {outcome.expectations} expectations")
        for note in outcome.notes:
            print(f"       note: {note}")
        for line in outcome.failed:
            print(f"       failed: {line}")
    failures = sum(len(outcome.failed) for outcome in outcomes)
    print(f"{failures} failed expectations; data docs: {site / 'index.html'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
