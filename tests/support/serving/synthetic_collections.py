"""Playlists and mlogs for the release of `research.serving.synthetic_release`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from recommender.catalog.arrays import Ragged
from recommender.catalog.collections import Collections
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.realtime import Realtime
from recommender.recall.registry import COLLECTIONS
from releases import integrity
from releases.pointer import MANIFEST
from sequences.sequence_batch import FIRST_CODE
from storage.files import write_json
from training.recipes import config_of


def add_collections(folder: Path, count: int, tracks: int) -> None:
    """Add `count` playlists and mlogs of `tracks` tracks each to a release; a playlist's popularity is its number."""
    vocabulary = Vocabulary.load(folder / "vocabulary")
    held = {"playlist": 1, "mlog": 2}
    names = {kind: np.array([f"{kind[0]}{number}" for number in range(count)], dtype=object) for kind in held}
    ids_N = np.concatenate([["", ""], *(names[kind] for kind in sorted(names))]).astype(object)
    replace(vocabulary, collection_ids_N=ids_N).save(folder / "vocabulary")
    realtime = Realtime.load(folder / "channels" / Realtime.name, Vocabulary.load(folder / "vocabulary"))
    for recaller in COLLECTIONS.values():
        items = FIRST_CODE + np.arange(count * tracks) * held[recaller.kind] % (len(vocabulary) - FIRST_CODE)
        offset = np.concatenate([[0, 0], np.arange(count + 1) * tracks])
        ids = np.concatenate([["", ""], names[recaller.kind]]).astype(object)
        collections = Collections(recaller.kind, ids, ids, Ragged(items, offset), np.arange(count + FIRST_CODE))
        found = recaller(
            replace(config_of(recaller, "small"), opened_weight=0.2, popular_weight=0.1),
            collections,
            realtime,
        )
        found.save(folder / "collections" / recaller.name)
    manifest = json.loads((folder / MANIFEST).read_text())
    write_json(folder / MANIFEST, manifest | {"collections": list(COLLECTIONS)})
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
