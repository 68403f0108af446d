"""May what was landed and published pass? `python -m quality.validate --as-of 2026-07-01 [--stage landed|marts]`.

The line asks for each stage where it is due: landed events before marts are built from them, marts before features are.
`--suite NAME` looks at one table only. Exit code 0: every expectation holds. 1: the failed ones are named. 2: a table or
suite is not there.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from datetime import date

from config import settings


def main(arguments: list[str] | None = None) -> int:
    """Validates, prints one line a suite and one a failed expectation, and builds the data docs in any case."""
    parser = argparse.ArgumentParser(prog="python -m quality.validate", description=__doc__)
    parser.add_argument(
        "--as-of", type=date.fromisoformat, required=True, help="first day that is not known, YYYY-MM-DD"
    )
    parser.add_argument("--stage", choices=["landed", "marts", "all"], default="all", help="what to validate")
    parser.add_argument("--suite", default=None, help="one table of the stage; its data docs stay as they are")
    options = parser.parse_args(arguments)
    home = settings.load_settings()
    os.environ.update(settings.tool_environment(home))

    # Only now: Great Expectations reads its usage reporting from the environment when it is imported.
    from quality import page
    from quality.engine import create_engine
    from quality.tables import TableError
    from quality.validation import STAGES, SuiteError, SuiteResult, Validator
    from storage.object_store import StorageError

    outcomes: list[SuiteResult] = []
    pages = []
    engine = create_engine(home.engine, home.tables)
    try:
        for stage in STAGES if options.stage == "all" else [options.stage]:
            site = home.reports / "data_docs" / stage
            validator = Validator(site, engine)
            found: list[SuiteResult] = []
            missing = None
            try:
                found = STAGES[stage](home, options.as_of, validator, options.suite)
            except TableError as error:
                missing = str(error)
                raise
            finally:
                if options.suite is None:
                    validator.build_docs()
                    told = (stage, options.as_of.isoformat(), found, missing)
                    pages.append(page.write(site, page.render_page(*told), page.render_json(*told)))
            outcomes += found
        if not outcomes:
            raise SuiteError(f"there is no suite {options.suite!r} in stage {options.stage}; see quality/suites.py")
    except (TableError, SuiteError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        engine.close()
    for outcome in outcomes:
        print(f"{'FAILED' if outcome.failed else 'ok':6} {outcome.suite}: {outcome.expectations} expectations")
        for note in outcome.notes:
            print(f"       note: {note}")
        for line in outcome.failed:
            print(f"       failed: {line}")
    failures = sum(len(outcome.failed) for outcome in outcomes)
    print(f"{failures} failed expectations" + "".join(f"; data docs: {path}" for path in pages))
    return 1 if failures else 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
    sys.exit(code)
