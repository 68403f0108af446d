"""Writes a release: the `final` models of a workspace, its choices, its catalog and its search."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from content.encoders.text import encode_texts, text_encoder_version
from recommender.catalog.collections import Collections
from recommender.recall.collection_recall import Playlists
from recommender.recall.continuation.titles import MAX_PLAYLIST_TITLES, TextVectors
from releases.bundle import BLEND, CATALOG, CONTINUATION, FUSION, SEARCH, SLATE, TITLES
from releases.pointer import MANIFEST
from storage.files import write_json
from training.data.training_data import TrainingData
from training.recipes import recipe
from training.workspace import Workspace

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


def write(workspace: Workspace, manifest: dict[str, Any], folder: Path) -> None:
    """Write a release of the `final` models of a manifest with the choices of the evaluation."""
    from recommender.search.text_vectors import read_text_vectors
    from recommender.search.write_search import write_search
    from training.data.search_tracks import collect_tracks

    evaluation = workspace.folder / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    for model in manifest["models"]["final"]:
        kind, name = model.split("/")
        target = folder / "ranker" if kind == "ranker" else folder / f"{kind}s" / name
        shutil.copytree(
            workspace.model_folder(kind, "final", name), target, ignore=shutil.ignore_patterns(*EXCLUDED_PATTERNS)
        )
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
    from training.data.search_tracks import add_album_titles

    statistics = pl.read_parquet(data.marts / "track_statistics.parquet").sort("track_id", "known_at")
    newest = statistics.group_by("track_id", maintain_order=True).last().rename({"known_at": "statistics_at"})
    counts = [name for name in newest.columns if name.endswith(("_total", "_7d", "_28d"))]
    rows = data.track_rows.filter(pl.Series(data.catalog_V[2:]))
    rows = add_album_titles(rows.select(name for name in TRACK_COLUMNS if name in rows.columns), data.marts)
    rows = rows.join(newest, on="track_id", how="left", maintain_order="left")
    return rows.with_columns(pl.col(name).fill_null(0) for name in counts)


def _playlist_titles(folder: Path) -> list[str]:
    """Titles of the playlists of a release, the most opened first."""
    if not (folder / "collections" / Playlists.name).exists():
        return []
    playlists = Collections.load(folder / "collections" / Playlists.name, Playlists.kind)
    titles = dict.fromkeys(str(playlists.titles_N[number]).strip() for number in playlists.popular_K.tolist())
    return list(titles)[:MAX_PLAYLIST_TITLES]
