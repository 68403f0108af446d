"""Benchmarks that `--only` selects."""

from __future__ import annotations

from benchmarks.__main__ import BENCHMARKS, select_benchmarks


def test_a_name_selects_a_benchmark_by_name_result_or_prefix() -> None:
    assert select_benchmarks(None) == list(BENCHMARKS)
    assert select_benchmarks("pit_join") == select_benchmarks("pit_join_memory") == ["pit_join"]
    assert select_benchmarks("scale") == [name for name in BENCHMARKS if name.startswith("scale_")] != []
    assert select_benchmarks("rank_") == select_benchmarks("scal") == []
