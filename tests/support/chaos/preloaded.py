"""Imports everything that the programs of the chaos suite need, in the right order."""

from __future__ import annotations

import importlib

# Before Feast, which sets a variable that changes how metrics are stored.
import prometheus_client  # noqa: F401

from sequences.feast_store import import_feast

MODULES = (
    "tests.support.release_swap",
    "ingestion.land",
    "serving.runtime",
    "tests.support.chaos.programs",
    "training.release.__main__",
)

import_feast()
for name in MODULES:
    importlib.import_module(name)
