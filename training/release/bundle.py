"""A release as one folder: everything an answer needs, and nothing that runs code when it is read.

`manifest.json, vocabulary/, catalogue.parquet, channels/<name>/, containers/<name>/, ranker/, heads/<name>/, fusion.json,
blend.json` and the held-out slate (`slate.parquet`), request by request, for the gate of the next release. Only JSON,
Parquet, safetensors and trees as text: no pickle. Knows nothing about where releases are kept or which is in service.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from training.data.collections import CollectionIndex
from training.data.training_data import TrainingData
from training.data.vocabulary import Vocabulary
from training.engine.workspace import MissingInput, Workspace, write_json
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.listwise_head import LambdaMARTHead
from training.ranking.task_weights import LISTWISE_HEAD
from training.recall import CHANNELS, CollectionRecall, load_collection_indexes, load_collection_recall
from training.recall.channel import RecallChannel
from training.recipes import recipe
from training.slate.blend import Blend
from training.slate.fusion import Fusion

MANIFEST, CATALOG, FUSION, BLEND, SLATE = (
    "manifest.json",
    "catalogue.parquet",
    "fusion.json",
    "blend.json",
    "slate.parquet",
)
# What only going on with a fit needs.
EXCLUDED_PATTERNS = ("checkpoints", "*.ckpt", "*.writing")
TRACK_COLUMNS = (
    "track_id",
    "title",
    "artist_ids",
    "artist_names",
    "duration_ms",
    "languages",
    "styles",
    "scenes",
    "emotions",
    "themes",
    "is_explicit",
    "recording_id",
    "available_from",
    "available_until",
    "territories",
    "audio_url",
)


@dataclass(frozen=True)
class Release:
    """What the service loads. `catalogue` has a row for each track that may be recommended, with the newest track
    statistics; `shelves` are the playlists and mlogs that may be, `containers` what recalls them.

    `ranker` is None for a release without one.
    """

    channels: Mapping[str, RecallChannel]
    collection_recallers: Mapping[str, CollectionRecall]
    collection_indexes: Mapping[str, CollectionIndex]
    fusion: Fusion
    ranker: FittedRanker | None
    blend: Blend
    vocabulary: Vocabulary
    catalog: pl.DataFrame
    manifest: dict[str, Any]

    @classmethod
    def load(cls, folder: Path, has_channels: bool = True, has_ranker: bool = True) -> Release:
        """What `write` wrote, whole unless a process does without some of its models.

        Raises:
            FileNotFoundError: a part is missing; the message names it.
        """
        for name in (MANIFEST, CATALOG, FUSION, BLEND):
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"no {name} in {folder}; it is not a release, or not a whole one: run `python -m training.release`"
                )
        manifest = json.loads((folder / MANIFEST).read_text())
        vocabulary = Vocabulary.load(folder / "vocabulary")
        channels: dict[str, RecallChannel] = {
            name: CHANNELS[name].load(folder / "channels" / name, vocabulary)
            for name in (manifest["channels"] if has_channels else [])
        }
        # A release from before there were any names none.
        folders = {name: folder / "containers" / name for name in manifest.get("containers", [])}
        containers = load_collection_recall(folders, channels)
        shelves = (
            {name: one.collection_index for name, one in containers.items()}
            if has_channels
            else load_collection_indexes(folders)
        )
        blend = Blend.load(folder / BLEND)
        return cls(
            channels=channels,
            collection_recallers=containers,
            collection_indexes=shelves,
            fusion=Fusion.load(folder / FUSION),
            ranker=_ranker(folder, vocabulary, blend) if manifest["ranker"] and has_ranker else None,
            blend=blend,
            vocabulary=vocabulary,
            catalog=pl.read_parquet(folder / CATALOG),
            manifest=manifest,
        )


def write(workspace: Workspace, manifest: dict[str, Any], folder: Path) -> None:
    """Assemble the workspace's `final` models with what the evaluation chose.

    Raises:
        MissingInput: a model that the evaluation chose has no `final` fit.
    """
    from training.evaluation.held_out_models import (
        list_fitted_models,  # learning's libraries, which who only loads a release does without
    )

    evaluation = workspace.folder / "evaluation"
    ranker = json.loads((evaluation / "choice.json").read_text())["ranker"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in list_fitted_models(workspace, "held_out", "channel"):
        _copy(workspace.channel_folder("final", name), folder / "channels" / name, f"channel {name}")
    for name in list_fitted_models(workspace, "held_out", "container"):
        _copy(workspace.model_folder("container", "final", name), folder / "containers" / name, f"container {name}")
    if ranker:
        _copy(workspace.ranker_folder("final", ranker), folder / "ranker", f"ranker {ranker}")
    used = Blend.load(evaluation / BLEND).heads.active_tasks
    for name in list_fitted_models(workspace, "held_out", "head"):
        if name in used:
            _copy(workspace.model_folder("head", "final", name), folder / "heads" / name, f"head {name}")
    for name in (FUSION, BLEND, SLATE):
        shutil.copyfile(evaluation / name, folder / name)
    data = TrainingData(
        workspace.marts, "final", recipe(workspace.recipe), cache_folder=workspace.cache_folder("final")
    )
    data.vocabulary.save(folder / "vocabulary")
    build_catalog(data).write_parquet(folder / CATALOG)
    write_json(folder / MANIFEST, manifest)


def build_catalog(data: TrainingData) -> pl.DataFrame:
    """TRACK_COLUMNS of every track that may be recommended, in vocabulary order, and its newest `track_statistics`."""
    statistics = pl.read_parquet(data.marts / "track_statistics.parquet").sort("track_id", "known_at")
    newest = statistics.group_by("track_id", maintain_order=True).last().rename({"known_at": "statistics_at"})
    counts = [name for name in newest.columns if name.endswith(("_total", "_7d", "_28d"))]
    rows = data.track_rows.filter(pl.Series(data.catalog_V[2:]))
    rows = rows.select(name for name in TRACK_COLUMNS if name in rows.columns)
    rows = rows.join(newest, on="track_id", how="left", maintain_order="left")
    return rows.with_columns(pl.col(name).fill_null(0) for name in counts)


def _ranker(folder: Path, vocabulary: Vocabulary, blend: Blend) -> FittedRanker:
    """The ranker, and beside it the head of whole requests where that has a weight."""
    ranker = FittedRanker.load(folder / "ranker", vocabulary)
    return (
        ranker.with_listwise_head(LambdaMARTHead.load(folder / "heads" / LISTWISE_HEAD))
        if LISTWISE_HEAD in blend.heads.active_tasks
        else ranker
    )


def _copy(source: Path, target: Path, what: str) -> None:
    if not (source / "inputs.json").exists():
        kind, name = what.split()
        raise MissingInput(
            f"{what} has no final fit in {source}; run `python -m training.train {kind} {name} --fit final` first"
        )
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*EXCLUDED_PATTERNS), dirs_exist_ok=True)
