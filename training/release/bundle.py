"""A release as one folder: everything that serving needs, without executable content.

`manifest.json, vocabulary/, catalogue.parquet, search/, channels/<name>/, collections/<name>/, ranker/, heads/<name>/,
fusion.json, blend.json, continuation.json, titles/` (encoded titles of playlists) and the held-out
slate by request (`slate.parquet`) for the gate of the next release. Files are JSON, Parquet, safetensors, NumPy arrays
and LightGBM trees as text; there are no pickles.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sequences.sequence_batch import FIRST_CODE
from training.content.encoders.text import encode_texts, text_encoder_version
from training.data.collections import CollectionIndex, Collections
from training.data.training_data import TrainingData
from training.data.vocabulary import Vocabulary
from training.engine.workspace import MissingInput, Workspace, write_json
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.listwise_head import LambdaMARTHead
from training.ranking.task_weights import LISTWISE_HEAD
from training.recall.channel import RecallChannel
from training.recall.collection_recall import CollectionRecall, Playlists
from training.recall.continuation.registry import TitleData, all_sources
from training.recall.continuation.source import ContinuationSource
from training.recall.continuation.titles import MAX_PLAYLIST_TITLES, TextVectors
from training.recall.registry import CHANNELS, load_collection_recall
from training.recipes import recipe
from training.release.pointer import MANIFEST, check_format
from training.search.query_parser import QueryParser
from training.slate.blend import Blend
from training.slate.continuation_weights import Continuation
from training.slate.fusion import Fusion

CATALOG, FUSION, BLEND, SLATE = "catalogue.parquet", "fusion.json", "blend.json", "slate.parquet"
SEARCH = "search"
CONTINUATION, TITLES = "continuation.json", "titles"
# Files that only resuming a fit needs.
EXCLUDED_PATTERNS = ("checkpoints", "*.ckpt", "*.writing")
TRACK_COLUMNS = (
    "track_id",
    "title",
    "album_id",
    "artist_ids",
    "artist_names",
    "duration_ms",
    "languages",
    "styles",
    "scenes",
    "emotions",
    "themes",
    "is_explicit",
    "is_music",
    "recording_id",
    "available_from",
    "available_until",
    "territories",
    "audio_url",
    "audio_path",
    "cover_path",
)


@dataclass(frozen=True)
class Release:
    """A loaded release."""

    channels: Mapping[str, RecallChannel]
    collection_recallers: Mapping[str, CollectionRecall]  # recall of playlists and of mlogs
    collection_indexes: Mapping[str, CollectionIndex]  # playlists and mlogs that may be recommended
    fusion: Fusion
    ranker: FittedRanker | None  # None for a release without a ranker
    blend: Blend
    vocabulary: Vocabulary
    catalog: pl.DataFrame  # one row per track that may be recommended, with its newest statistics
    manifest: dict[str, Any]
    continuation: Continuation = field(default_factory=Continuation)
    continuation_sources: Mapping[str, ContinuationSource] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Load a release written by `write`.

        Args:
            folder: The release.

        Raises:
            FileNotFoundError: A part is missing; the message names it.
            OutdatedFormat: The release was written by another version of Segue.
        """
        for name in (MANIFEST, CATALOG, FUSION, BLEND):
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"no {name} in {folder}; it is not a complete release: run `python -m training.release`"
                )
        check_format(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        vocabulary = Vocabulary.load(folder / "vocabulary")
        channels: dict[str, RecallChannel] = {
            name: CHANNELS[name].load(folder / "channels" / name, vocabulary) for name in manifest["channels"]
        }
        folders = {name: folder / "collections" / name for name in manifest["collections"]}
        recallers = load_collection_recall(folders, channels)
        indexes = {name: recaller.collection_index for name, recaller in recallers.items()}
        blend = Blend.load(folder / BLEND)
        catalog = pl.read_parquet(folder / CATALOG)
        continuation = Continuation.load(folder / CONTINUATION)
        playlists = indexes[Playlists.name].collections if Playlists.name in indexes else None
        parser = QueryParser.load(folder / SEARCH, encode_texts, text_encoder_version())
        titles = TitleData(parser, catalog, vocabulary, TextVectors.load(folder / TITLES))
        sources = continuation_sources(channels, vocabulary, catalog, playlists, titles)
        return cls(
            channels=channels,
            collection_recallers=recallers,
            collection_indexes=indexes,
            fusion=Fusion.load(folder / FUSION),
            ranker=_ranker(folder, vocabulary, blend) if manifest["ranker"] else None,
            blend=blend,
            vocabulary=vocabulary,
            catalog=catalog,
            manifest=manifest,
            continuation=continuation,
            continuation_sources=sources,
        )


def write(workspace: Workspace, manifest: dict[str, Any], folder: Path) -> None:
    """Write a release of the `final` models of a workspace with the choices of its evaluation.

    Raises:
        MissingInput: A released model has no `final` fit.
    """
    from training.evaluation.held_out_models import (
        list_fitted_models,  # imports training libraries, which loading a release does not need
    )
    from training.search.text_vectors import read_text_vectors
    from training.search.write_search import collect_tracks, write_search

    evaluation = workspace.folder / "evaluation"
    ranker = json.loads((evaluation / "choice.json").read_text())["ranker"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in list_fitted_models(workspace, "held_out", "channel"):
        _copy(workspace.model_folder("channel", "final", name), folder / "channels" / name, f"channel {name}")
    for name in list_fitted_models(workspace, "held_out", "collection"):
        _copy(workspace.model_folder("collection", "final", name), folder / "collections" / name, f"collection {name}")
    if ranker:
        _copy(workspace.model_folder("ranker", "final", ranker), folder / "ranker", f"ranker {ranker}")
    active_tasks = Blend.load(evaluation / BLEND).heads.active_tasks
    for name in list_fitted_models(workspace, "held_out", "head"):
        if name in active_tasks:
            _copy(workspace.model_folder("head", "final", name), folder / "heads" / name, f"head {name}")
    for name in (FUSION, BLEND, CONTINUATION, SLATE):
        shutil.copyfile(evaluation / name, folder / name)
    data = TrainingData(
        workspace.marts, "final", recipe(workspace.recipe), cache_folder=workspace.cache_folder("final")
    )
    data.vocabulary.save(folder / "vocabulary")
    catalog = build_catalog(data)
    catalog.write_parquet(folder / CATALOG)
    TextVectors.encode(_playlist_titles(folder)).save(folder / TITLES)
    version = text_encoder_version()
    texts = read_text_vectors(data.marts, data.vocabulary, version)
    write_search(collect_tracks(data), folder / SEARCH, encode_texts, version, texts)
    write_json(folder / MANIFEST, manifest)


def build_catalog(data: TrainingData) -> pl.DataFrame:
    """TRACK_COLUMNS and newest `track_statistics` of every track that may be recommended, in vocabulary order."""
    from training.search.write_search import add_album_titles

    statistics = pl.read_parquet(data.marts / "track_statistics.parquet").sort("track_id", "known_at")
    newest = statistics.group_by("track_id", maintain_order=True).last().rename({"known_at": "statistics_at"})
    counts = [name for name in newest.columns if name.endswith(("_total", "_7d", "_28d"))]
    rows = data.track_rows.filter(pl.Series(data.catalog_V[2:]))
    rows = add_album_titles(rows.select(name for name in TRACK_COLUMNS if name in rows.columns), data.marts)
    rows = rows.join(newest, on="track_id", how="left", maintain_order="left")
    return rows.with_columns(pl.col(name).fill_null(0) for name in counts)


def continuation_sources(
    channels: Mapping[str, RecallChannel],
    vocabulary: Vocabulary,
    catalog: pl.DataFrame,
    playlists: Collections | None,
    titles: TitleData,
) -> dict[str, ContinuationSource]:
    """All sources of playlist continuation of a release."""
    is_servable_V = np.zeros(len(vocabulary), dtype=bool)
    is_servable_V[vocabulary.encode(catalog["track_id"].to_list())] = True
    is_servable_V[:FIRST_CODE] = False
    numbers = np.arange(FIRST_CODE, len(playlists) if playlists is not None else 0)
    return all_sources(channels, playlists, numbers, titles, is_servable_V)


def _playlist_titles(folder: Path) -> list[str]:
    """Titles of the playlists of a release, the most opened first."""
    if not (folder / "collections" / Playlists.name).exists():
        return []
    index = Playlists.load_collection_index(folder / "collections" / Playlists.name)
    titles = dict.fromkeys(str(index.collections.titles_N[number]).strip() for number in index.popular_K.tolist())
    return list(titles)[:MAX_PLAYLIST_TITLES]


def _ranker(folder: Path, vocabulary: Vocabulary, blend: Blend) -> FittedRanker:
    """The ranker, with the listwise head if that has a weight."""
    ranker = FittedRanker.load(folder / "ranker", vocabulary)
    return (
        ranker.with_listwise_head(LambdaMARTHead.load(folder / "heads" / LISTWISE_HEAD))
        if LISTWISE_HEAD in blend.heads.active_tasks
        else ranker
    )


def _copy(source: Path, target: Path, model: str) -> None:
    if not (source / "inputs.json").exists():
        kind, name = model.split()
        raise MissingInput(
            f"{model} has no final fit in {source}; run `python -m training.train {kind} {name} --fit final` first"
        )
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*EXCLUDED_PATTERNS), dirs_exist_ok=True)
