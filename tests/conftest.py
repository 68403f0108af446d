"""Shared fixtures, and the import order that all tests rely on."""

import gc
import os
import sys
from pathlib import Path

# prometheus_client chooses the storage of its metrics at import. If BentoML is imported first, all registries of the process
# share files; tests need separate registries.
import prometheus_client  # noqa: F401
import pytest
from hypothesis import settings

from config import garbage_collector
from config.settings import Settings, load_settings
from sequences.feast_store import import_feast

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before test modules import Feast, because it takes half the time. Not in the main process: Feast sets environment
    # variables of prometheus_client, which the workers would inherit.
    import_feast()
    if not hasattr(sys, "ps1"):
        # The main module of a worker has no file. PySpark takes that for a run of its doctests and exits, unless the
        # interpreter is interactive.
        sys.ps1 = ""

# Collecting imports millions of objects that stay in use. Looking for garbage among them takes a fifth of its time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect the garbage of the tests only."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the processor to the whole pipeline, which takes longest, if it runs in another worker."""
    if "PYTEST_XDIST_WORKER" in os.environ and item.path.name != "test_pipeline.py":
        os.setpriority(os.PRIO_PROCESS, 0, max(5, os.getpriority(os.PRIO_PROCESS, 0)))


# Loading a release ends with it: seconds for all the modules of all tests, for each service that a test starts in its process.
garbage_collector.freeze_gc = lambda: None

settings.register_profile("segue", deadline=None)  # no time is asserted in a test
settings.load_profile("segue")

pytest.register_assert_rewrite("tests.support", "tests.e2e")
pytest_plugins = ["tests.support.training.world_fixtures"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home of its own."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return load_settings()
