"""Which benchmarks a name asks for."""

from __future__ import annotations

from benchmarks.__main__ import BENCHMARKS, select_benchmarks


def test_a_name_is_a_benchmark_one_of_its_figures_or_a_beginning() -> None:
    assert select_benchmarks(None) == list(BENCHMARKS)
    assert select_benchmarks("pit_join") == select_benchmarks("pit_join_memory") == ["pit_join"]
    assert select_benchmarks("scale") == [name for name in BENCHMARKS if name.startswith("scale_")] != []
    assert select_benchmarks("rank_") == select_benchmarks("scal") == []
