"""All cases of the offline store on DuckDB, in processes with other time zones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config import settings
from tests.support.tiers import acceptance_only

CASES = (
    "tests/contract/sequences/test_feast_retrieval.py",
    "tests/contract/sequences/test_feast_universal_cases.py",
    "tests/contract/sequences/test_feast_writing.py",
)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", pytest.param("America/Los_Angeles", marks=acceptance_only)])
def test_cases_in_another_time_zone(zone: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CASES],
        cwd=settings.ROOT,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
