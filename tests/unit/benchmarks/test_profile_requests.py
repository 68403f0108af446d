"""Request profile: loads, parsing and shares of the samples, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import profile_requests
from benchmarks.profile_requests import Samples, format_report
from benchmarks.serving import recommend_endpoint

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


def test_each_load_has_users_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    users, loads = [], []

    @contextmanager
    def serve(tracks: int, recipe: str, served: int, model_workers: int) -> Iterator[tuple[Any, int]]:
        users.append(served)
        worker = SimpleNamespace(pid=1, cpu_times=lambda: (0.0, 0.0))
        yield SimpleNamespace(process=SimpleNamespace(members=lambda: [worker])), 0

    @contextmanager
    def sample(pid: int, output: Path, options: list[str]) -> Iterator[None]:
        yield
        output.write_text(RAW)

    def load(service: object, first: int, count: int, *_: str) -> dict[str, float]:
        loads.append(range(first, first + count))
        return {"service_cpu_s": 1.0}

    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(recommend_endpoint, "serve_release", serve)
    monkeypatch.setattr(recommend_endpoint, "run_load", load)
    monkeypatch.setattr(profile_requests, "_sampling", sample)
    profile_requests.profile(800)
    assert [len(one) for one in loads] == [recommend_endpoint.WARM_UP_REQUESTS, 800, 800, 800]
    assert [user for one in loads for user in one] == list(range(users[0]))
