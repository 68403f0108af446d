"""The cold-start ablation on the tiny world: its report, and lists that are used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.training.tiny_world import SERVICES, random_plays, write_marts
from training.ablations import cold_start
from training.data.feature_services import ServiceContract
from training.data.user_batch import OfflineFeatures
from training.engine.workspace import Workspace
from training.recall.realtime.channel import Realtime


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The tiny world without a Feast registry; one channel and two cells."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ServiceContract, "of", classmethod(lambda cls, store, service: SERVICES[service]))
    monkeypatch.setattr(OfflineFeatures, "store", None)
    monkeypatch.setattr(cold_start, "CHANNEL_NAMES", (Realtime.name,))
    monkeypatch.setattr(cold_start, "SEEDS", 2)
    names = (cold_start.WITH_CONTENT, cold_start.WITHOUT_CONTENT)
    monkeypatch.setattr(cold_start, "CELLS", {name: cold_start.CELLS[name] for name in names})
    return Workspace(tmp_path / "workspace", write_marts(tmp_path / "marts", random_plays()), "2024-02-01", "debug")


def test_report_has_each_cell_and_its_difference(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = cold_start.report(workspace, tmp_path / "lists")
    rows = {line.split(" | ")[0].lstrip("| "): line for line in page.splitlines() if line.startswith("| ")}
    for name in ("all content", "content off", "artist popularity", "all content - artist popularity"):
        assert rows[name].count("[") >= 2, page
    assert "track with" in page and "artist with" in page
    monkeypatch.setattr(Realtime, "fit", None)
    assert cold_start.report(workspace, tmp_path / "lists") == page
