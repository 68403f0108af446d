"""Validate landed events and published marts: `python -m quality.validate --as-of 2026-07-01 --stage landed|marts|content`.

The pipeline validates landed events before it builds marts, and marts and encoded content before models are trained.
Exit codes: 0 if every expectation holds; 1 if some fail, which are listed; 2 if a table does not exist.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from config import settings
from config.command_line import end_process, report_errors
from config.tool_environment import tool_environment
from quality.tables import TableError, connect
from storage import object_store
from storage.errors import StorageError
from storage.report_history import append_to_history
from web import create_environment

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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


@report_errors(TableError, StorageError)
def main(arguments: list[str] | None = None) -> int:
    """Validate, print one line per suite and per failed expectation, and write the pages in any case."""
    parser = argparse.ArgumentParser(prog="python -m quality.validate", description=__doc__)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="first unknown day, YYYY-MM-DD")
    parser.add_argument("--stage", choices=["landed", "marts", "content"], required=True, help="what to validate")
    options = parser.parse_args(arguments)
    home = settings.load_settings()
    os.environ.update(tool_environment(home))

    with closing(connect(home.tables)) as connection:
        results, page = validate_stage(connection, home, options.stage, options.as_of)
    if not results:
        raise TableError(f"stage {options.stage} has no table; run `python -m training.encode_content` first")
    failures = print_results(results)
    print(f"{failures} failed expectations; data docs: {page}")
    return 1 if failures else 0


def validate_stage(
    connection: DuckDBPyConnection, home: settings.Settings, stage: str, as_of: date
) -> tuple[list[SuiteResult], Path]:
    """The results of a stage and its page, which is written in any case.

    Raises:
        TableError: A table does not exist.
        StorageError: The tables cannot be read.
    """
    # Imported after the environment is set: Great Expectations reads its telemetry setting at import.
    from quality.suite_runner import STAGES, Validator

    results: list[SuiteResult] = []
    message = None
    try:
        results = STAGES[stage](home, as_of, Validator(connection))
    except TableError as error:
        message = str(error)
        raise
    finally:
        page = write_outcome(home.reports / "data_docs" / stage, stage, as_of, results, message)
    if values := {name: value for result in results for name, value in result.metrics.items()}:
        append_to_history(home.reports / "history" / f"{stage}.jsonl", as_of.isoformat(), values)
    if stage == "marts":
        write_profile(home, as_of)
    return results, page


if __name__ == "__main__":
    end_process(main())
