"""Samples of the request profile: parsing, shares and the report."""

from __future__ import annotations

from benchmarks.profile_requests import Samples, format_report

RAW = """\
work (serving/pipeline/stages/recall.py:180);recall (training/recall/popularity.py:1);linear (torch/nn/functional.py:9) 6
_bootstrap (threading.py:1002);rank (serving/pipeline/stages/rank.py:33);dumps (json/__init__.py:183) 3
_bootstrap (threading.py:1002);rank (serving/pipeline/stages/rank.py:33) 2
run (asyncio/runners.py:86) 1
"""


def test_samples_count_by_package_of_the_innermost_frame() -> None:
    shares = Samples.parse(RAW.splitlines()).share_by_package()
    assert shares == [("torch", 6 / 12), ("json", 3 / 12), ("serving/pipeline", 2 / 12), ("asyncio", 1 / 12)]


def test_samples_count_by_innermost_function_of_segue() -> None:
    shares = Samples.parse(RAW.splitlines()).share_by_function()
    assert shares == [
        ("recall (training/recall/popularity.py:1)", 6 / 12),
        ("rank (serving/pipeline/stages/rank.py:33)", 5 / 12),
        ("other", 1 / 12),
    ]


def test_report_has_both_shares_of_each_row() -> None:
    running, lock = Samples.parse(RAW.splitlines()), Samples.parse(RAW.splitlines()[1:3])
    report = format_report(56.04, {"running": running, "lock": lock})
    assert "56.0 ms of processor time per request" in report and "42% of the samples" in report
    assert "| `torch` | 50.0% | 0.0% |" in report
    assert "| `rank (serving/pipeline/stages/rank.py:33)` | 41.7% | 100.0% |" in report


def test_report_without_samples() -> None:
    empty = Samples.parse([])
    assert "0% of the samples" in format_report(0.0, {"running": empty, "lock": empty})
