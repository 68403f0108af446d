"""The benchmark of a day measures the commands after the history was built, and keeps what it has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.data import daily_build, resource_usage
from benchmarks.data.resource_usage import ResourceUsage


def test_the_next_day_and_a_late_event_are_landed_between_the_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    builds: list[tuple[int, int]] = []

    def run(command: list[str], variables: dict[str, str], log: Path) -> ResourceUsage:
        if "build" in command:
            files = list((Path(variables["SEGUE_HOME"]) / "landing/listening_events").glob("dt=2026-*/*.parquet"))
            builds.append((len(files), sum(pq.read_metadata(file).num_rows for file in files)))
        return ResourceUsage(1, 2 if "materialize" in str(command) else 1, 0)

    monkeypatch.setattr(resource_usage, "run", run)
    results = {result.name: result.value for result in daily_build.run(400)}
    histories = [builds[number : number + 4] for number in range(0, len(builds), 4)]
    for days, (first, next_day, unchanged, late) in zip(daily_build.DAYS, histories, strict=True):
        assert [first[0], next_day[0]] == [days, days + 1]
        assert unchanged == next_day
        assert late == (next_day[0] + 1, next_day[1] + 1)
        assert next_day[1] == pytest.approx(400 * (days + 1), rel=0.3)
    assert results["scale_day"] == 1
    assert results["scale_day_late"] == 1
    assert results["scale_day_processor"] == len(daily_build.STEPS) + 1
    repeated: Any = daily_build.run(400)
    assert {result.name: result.value for result in repeated} == results
    assert len(builds) == 4 * len(daily_build.DAYS), "measured once"
