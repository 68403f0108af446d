"""The report of benchmarks: results of earlier runs keep the revision and the machine that they were measured on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.result import Result

KEPT = {"name": "pit_join", "value": 34.0, "unit": "x", "peer": None, "peer_value": None, "ratio": None}


@pytest.mark.parametrize(
    "earlier",
    [KEPT | {"machine": "old machine", "revision": "old"}, KEPT],
    ids=["this version", "version without revisions of results"],
)
def test_results_that_are_kept_keep_their_revision_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: dict[str, object]
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    file = tmp_path / "reports" / "benchmark.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"machine": "old machine", "revision": "old", "results": [earlier]}))
    monkeypatch.setitem(
        benchmarks.BENCHMARKS, "land_events", (lambda rows: Result("land_events", float(rows), "rows"), 7)
    )
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "land_events"])
    benchmarks.main()
    report = json.loads(file.read_text())
    assert report.keys() == {"machine", "revision", "results"} and report["revision"] != "old"
    kept, measured = report["results"]
    assert kept == KEPT | {"machine": "old machine", "revision": "old"}
    assert (measured["name"], measured["value"]) == ("land_events", 7)
    assert (measured["machine"], measured["revision"]) == (report["machine"], report["revision"])
