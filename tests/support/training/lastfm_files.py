"""Tiny files of the Last.FM knowledge graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from research.public_data import knowledge_graph as benchmark


def write_lastfm_files(folder: Path) -> Path:
    """Two groups of 30 users and 20 artists each; artists of a group share an entity. One artist is not in the graph."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    plays, triples = [], []
    for user in range(60):
        for artist in random.choice(20, size=6, replace=False):
            plays.append(f"{user + 100}\t{1000 + artist + 20 * (user % 2)}\t5")
        plays.append(f"{user + 100}\t9\t1")
    triples = [f"{artist}\tmusic.artist.genre\t{40 + artist // 20}" for artist in range(40)]
    (folder / "user_artists.dat").write_text("\n".join(["userID\tartistID\tweight", *plays]) + "\n")
    (folder / "kg.txt").write_text("\n".join(triples) + "\n")
    (folder / "item_index2entity_id.txt").write_text("".join(f"{1000 + number}\t{number}\n" for number in range(40)))
    pairs = benchmark.kgcn_pairs(folder, 0)
    rows = np.stack([pairs.user_P, pairs.item_P, pairs.label_P], axis=1)
    np.savetxt(folder / "mcclk_ratings_final.txt", rows, fmt="%d", delimiter="\t")
    return folder
