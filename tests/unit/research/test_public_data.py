"""Protocols on public data, on tiny files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.training.lastfm_files import write_lastfm_files


def test_knowledge_graph_finds_both_groups(tmp_path: Path) -> None:
    from research.public_data.__main__ import main  # imports torch_geometric, which takes seconds in every worker

    write_lastfm_files(tmp_path / "lastfm_knowledge_graph")
    out = tmp_path / "result.json"
    assert main(["leaderboard", "--data", str(tmp_path), "--seeds", "1", "--json", str(out)]) == 0
    (result,) = json.loads(out.read_text()).values()  # there are no files of sequences
    for protocol in ("kgcn", "mcclk"):
        assert result[protocol]["auc"]["mean"] > 0.7 > 0.6 > result[protocol]["popularity_auc"]["mean"]
