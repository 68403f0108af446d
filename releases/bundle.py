"""A release as one folder: everything that serving needs, without executable content.

`manifest.json, vocabulary/, catalog.parquet, search/, channels/<name>/, collections/<name>/, ranker/, heads/<name>/,
fusion.json, blend.json, continuation.json, titles/` (encoded titles of playlists) and the held-out
slate by request (`slate.parquet`) for the gate of the next release. Files are JSON, Parquet, safetensors, NumPy arrays
and LightGBM trees as text; there are no pickles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from content.encoders.text import encode_texts, text_encoder_version
from recommender.catalog.catalog import Catalog
from recommender.catalog.collections import Collections
from recommender.catalog.vocabulary import Vocabulary
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.listwise_head import LambdaMARTHead
from recommender.ranking.task_weights import LISTWISE_HEAD
from recommender.recall.channel import RecallChannel
from recommender.recall.collection_recall import CollectionRecall, Playlists
from recommender.recall.continuation.registry import TitleData, all_sources
from recommender.recall.continuation.source import ContinuationSource
from recommender.recall.continuation.titles import TextVectors
from recommender.recall.registry import CHANNELS, load_collection_recall
from recommender.search.query_parser import QueryParser
from recommender.slate.continuation_weights import Continuation
from recommender.slate.fusion import Fusion
from recommender.slate.ranker_blend import Blend
from releases.pointer import MANIFEST, check_format
from sequences.sequence_batch import FIRST_CODE

CATALOG, FUSION, BLEND, SLATE = "catalog.parquet", "fusion.json", "blend.json", "slate.parquet"
SEARCH = "search"
CONTINUATION, TITLES = "continuation.json", "titles"


@dataclass(frozen=True)
class Release:
    """A loaded release."""

    channels: Mapping[str, RecallChannel]
    collection_recallers: Mapping[str, CollectionRecall]  # recall of playlists and of mlogs
    fusion: Fusion
    ranker: FittedRanker | None  # None for a release without a ranker
    blend: Blend
    vocabulary: Vocabulary
    catalog: Catalog
    manifest: dict[str, Any]
    continuation: Continuation = field(default_factory=Continuation)
    continuation_sources: Mapping[str, ContinuationSource] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Load a release written by `write`.

        Args:
            folder: The release.

        Raises:
            FileNotFoundError: A part is missing, which `integrity.verify` finds earlier.
            OutdatedFormat: The release was written by another version of Segue.
        """
        check_format(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        vocabulary = Vocabulary.load(folder / "vocabulary")
        channels: dict[str, RecallChannel] = {
            name: CHANNELS[name].load(folder / "channels" / name, vocabulary) for name in manifest["channels"]
        }
        folders = {name: folder / "collections" / name for name in manifest["collections"]}
        recallers = load_collection_recall(folders, channels)
        blend = Blend.load(folder / BLEND)
        catalog = Catalog.build(pl.read_parquet(folder / CATALOG), vocabulary)
        continuation = Continuation.load(folder / CONTINUATION)
        playlists = Collections.from_rows(Playlists.kind, [])
        if Playlists.name in recallers:
            playlists = recallers[Playlists.name].collections
        parser = QueryParser.load(folder / SEARCH, encode_texts, text_encoder_version())
        titles = TitleData(parser, catalog.facets, vocabulary, TextVectors.load(folder / TITLES))
        numbers = np.arange(FIRST_CODE, len(playlists))
        sources = all_sources(channels, playlists, numbers, titles, catalog.is_served_V)
        return cls(
            channels=channels,
            collection_recallers=recallers,
            fusion=Fusion.load(folder / FUSION),
            ranker=_ranker(folder, vocabulary, blend) if manifest["ranker"] else None,
            blend=blend,
            vocabulary=vocabulary,
            catalog=catalog,
            manifest=manifest,
            continuation=continuation,
            continuation_sources=sources,
        )


def _ranker(folder: Path, vocabulary: Vocabulary, blend: Blend) -> FittedRanker:
    """The ranker, with the listwise head if that has a weight."""
    ranker = FittedRanker.load(folder / "ranker", vocabulary)
    return (
        ranker.with_listwise_head(LambdaMARTHead.load(folder / "heads" / LISTWISE_HEAD))
        if LISTWISE_HEAD in blend.heads.active_tasks
        else ranker
    )
