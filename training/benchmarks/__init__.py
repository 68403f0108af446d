"""Published protocols on public data: `python -m training.benchmarks NAME`. A new one is a module here and a line below."""

from __future__ import annotations

from types import ModuleType

from training.benchmarks import knowledge_graph, sequences

BENCHMARKS: dict[str, ModuleType] = {"knowledge_graph": knowledge_graph, "sequences": sequences}
"""Each module has `add_arguments(parser)` and `run(arguments)`, which returns a result that JSON can hold."""
