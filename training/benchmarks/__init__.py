"""Benchmarks by published protocols on public data, run by `python -m training.benchmarks NAME`."""

from __future__ import annotations

from types import ModuleType

from training.benchmarks import knowledge_graph, sequences

BENCHMARKS: dict[str, ModuleType] = {"knowledge_graph": knowledge_graph, "sequences": sequences}
"""Modules with `add_arguments(parser)` and `run(arguments)`, which returns a JSON-serializable result."""
