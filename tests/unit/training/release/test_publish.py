"""The decision of the gate in the evaluation report."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.engine.workspace import Workspace
from training.evaluate import HTML_FILE, JSON_FILE
from training.release import publish
from training.release.gate import Verdict
from training.release.pointer import Pointer


def test_report_is_whole_if_the_process_is_killed_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, text: str) -> None:
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / JSON_FILE).write_text("{}")
    (folder / HTML_FILE).write_text("the page before")
    monkeypatch.setattr(publish, "render_page", lambda *_: "the page with the decision")
    monkeypatch.setattr(Path, "write_text", write_half)
    here = Workspace(tmp_path, tmp_path / "marts", "2026-06-01", "debug")
    with pytest.raises(KeyboardInterrupt):
        publish.report_verdict(here, Verdict(True, (), {}), Pointer(tmp_path / "active.json"), None)
    assert (folder / HTML_FILE).read_text() == "the page before"
