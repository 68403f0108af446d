"""`make acceptance`: all cases of the offline store on DuckDB, in processes with other time zones."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support.pipeline_commands import run_to_end
from tests.support.tiers import acceptance_only

CASES = (
    "tests/contract/sequences/test_feast_retrieval.py",
    "tests/contract/sequences/test_feast_universal_cases.py",
    "tests/contract/sequences/test_feast_writing.py",
)


@acceptance_only
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles"])
def test_cases_in_another_time_zone(zone: str) -> None:
    run_to_end(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CASES],
        {**{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}, "TZ": zone},
    )
