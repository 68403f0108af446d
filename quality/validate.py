"""Validate landed events and published marts: `python -m quality.validate --as-of 2026-07-01 [--stage landed|marts|content]`.

The pipeline validates landed events before it builds marts, and marts and encoded content before models are trained.
Exit codes: 0 if every expectation holds; 1 if some fail, which are listed; 2 if a table does not exist.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from config import settings
from config.tool_environment import tool_environment
from storage import object_store
from storage.daily_files import append_to_history
from web import create_environment

if TYPE_CHECKING:
    from quality.suite_runner import SuiteResult

TEMPLATES = Path(__file__).parent / "templates"


def write_outcome(
    site: Path, stage: str, as_of: date, results: Sequence[SuiteResult], error: str | None = None
) -> Path:
    """Write a self-contained HTML page and the same as JSON into the folder of a stage, each atomically; return the page.

    The page replaces Great Expectations' own pages, which load style sheets and table code from the network and are empty without
    it.

    Args:
        site: Folder of the stage.
        stage: Name of the validated stage.
        as_of: First unknown day.
        results: Results of the suites that were run.
        error: Message if a table was missing.
    """
    content = {"stage": stage, "as_of": as_of.isoformat(), "error": error}
    page = create_environment(TEMPLATES).get_template("validation.html").render(content, results=results)
    data = json.dumps(content | {"suites": [asdict(result) for result in results]}, indent=1)
    object_store.write(site / "outcome.json", f"{data}\n".encode())
    object_store.write(site / "outcome.html", page.encode())
    return site / "outcome.html"


def record_metrics(history: Path, as_of: str, results: Sequence[SuiteResult]) -> None:
    """Add the metrics of a day to the history that the console shows over time."""
    values = {name: value for result in results for name, value in result.metrics.items()}
    if values:
        append_to_history(history, as_of, values)


def write_profile(home: settings.Settings, as_of: date) -> None:
    """Write the profile of the published marts by day, `data_quality.json`. It is no gate, so an error of it is printed only."""
    import duckdb

    from quality.daily_profile import profile_marts
    from quality.suites import MARTS

    times = {name: suite.newest for name, suite in MARTS.items() if suite.newest is not None}
    try:
        marts = object_store.fetch_marts(home)
        profile = profile_marts(marts, times, as_of)
    except duckdb.Error as error:
        print(f"note: the marts were not profiled: {error}")
        return
    object_store.write(home.reports / "data_quality.json", f"{json.dumps(profile)}\n".encode())


def print_results(results: Sequence[SuiteResult]) -> int:
    """Print one line per suite, per note and per failed expectation; return the number of failed expectations."""
    for result in results:
        print(f"{'FAILED' if result.failed else 'ok':6} {result.suite}: {len(result.checks)} expectations")
        for note in result.notes:
            print(f"       note: {note}")
        for check in result.failed:
            print(f"       failed: {check}")
    return sum(len(result.failed) for result in results)


def main(arguments: list[str] | None = None) -> int:
    """Validate, print one line per suite and per failed expectation, and write the pages in any case."""
    parser = argparse.ArgumentParser(prog="python -m quality.validate", description=__doc__)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="first unknown day, YYYY-MM-DD")
    parser.add_argument(
        "--stage", choices=["landed", "marts", "content", "all"], default="all", help="what to validate"
    )
    options = parser.parse_args(arguments)
    home = settings.load_settings()
    os.environ.update(tool_environment(home))

    # Imported after the environment is set: Great Expectations reads its telemetry setting at import.
    from quality.suite_runner import STAGES, Validator
    from quality.tables import TableError, connect
    from storage.errors import StorageError

    results: list[SuiteResult] = []
    pages = []
    connection = connect(home.tables)
    try:
        for stage in STAGES if options.stage == "all" else [options.stage]:
            site = home.reports / "data_docs" / stage
            validator = Validator(connection)
            stage_results: list[SuiteResult] = []
            error_message = None
            try:
                stage_results = STAGES[stage](home, options.as_of, validator)
            except TableError as error:
                error_message = str(error)
                raise
            finally:
                pages.append(write_outcome(site, stage, options.as_of, stage_results, error_message))
                record_metrics(home.reports / "history" / f"{stage}.jsonl", options.as_of.isoformat(), stage_results)
            results += stage_results
            if stage == "marts":
                write_profile(home, options.as_of)
        if not results:
            raise TableError(f"stage {options.stage} has no table; run `python -m training.encode_content` first")
    except (TableError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        connection.close()
    failures = print_results(results)
    print(f"{failures} failed expectations" + "".join(f"; data docs: {path}" for path in pages))
    return 1 if failures else 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # skips the collection of all imported modules at interpreter exit, which takes seconds
    sys.exit(code)
