"""Which benchmarks a name asks for."""

from __future__ import annotations

from tests.benchmarks.__main__ import BENCHMARKS, asked


def test_a_name_is_a_benchmark_one_of_its_figures_or_a_beginning() -> None:
    assert asked(None) == list(BENCHMARKS)
    assert asked("pit_join") == asked("pit_join_memory") == ["pit_join"]
    assert asked("scale") == [name for name in BENCHMARKS if name.startswith("scale_")] != []
    assert asked("rank_") == asked("scal") == []
