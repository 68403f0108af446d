"""Protocols on public data, on tiny files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def test_knowledge_graph_finds_both_groups(tmp_path: Path) -> None:
    """Two groups of 30 users and 20 artists each; artists of a group share an entity. One artist is not in the graph."""
    # These import torch_geometric, which takes a second in every worker.
    from research.public_data.__main__ import main
    from research.public_data.knowledge_graph import kgcn_pairs

    folder = tmp_path / "lastfm_knowledge_graph"
    folder.mkdir()
    random = np.random.default_rng(0)
    plays = [
        f"{user + 100}\t{1000 + artist + 20 * (user % 2)}\t5"
        for user in range(60)
        for artist in random.choice(20, size=6, replace=False)
    ]
    plays += [f"{user + 100}\t9\t1" for user in range(60)]
    triples = [f"{artist}\tmusic.artist.genre\t{40 + artist // 20}" for artist in range(40)]
    (folder / "user_artists.dat").write_text("\n".join(["userID\tartistID\tweight", *plays]) + "\n")
    (folder / "kg.txt").write_text("\n".join(triples) + "\n")
    (folder / "item_index2entity_id.txt").write_text("".join(f"{1000 + number}\t{number}\n" for number in range(40)))
    pairs = kgcn_pairs(folder, 0)
    np.savetxt(
        folder / "mcclk_ratings_final.txt",
        np.stack([pairs.user_P, pairs.item_P, pairs.label_P], axis=1),
        fmt="%d",
        delimiter="\t",
    )
    out = tmp_path / "result.json"
    assert main(["leaderboard", "--data", str(tmp_path), "--seeds", "1", "--json", str(out)]) == 0
    (result,) = json.loads(out.read_text()).values()  # there are no files of sequences
    for protocol in ("kgcn", "mcclk"):
        assert result[protocol]["auc"]["mean"] > 0.7 > 0.6 > result[protocol]["popularity_auc"]["mean"]
