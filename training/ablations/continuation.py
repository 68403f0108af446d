"""Playlist continuation on held-out playlists: R-precision, NDCG and clicks with 0, 1, 5 and 25 seeds.

No model may have learned from the playlists that it is measured on. Validation and test playlists (by the hash of their ids) are
therefore removed from the marts before anything is fitted: the playlists themselves, their edges in the knowledge graph,
and all events of users opening them or playing tracks from them. The channels with item similarity are fitted again on
these marts; weights and baselines are tuned on the validation playlists; the test playlists are scored once.

Every list ranks the same catalog and has up to 500 tracks. Lists: popularity, item-kNN over playlists and over the
listens of users (both tuned), the channels with equal weights, the title alone, every source alone, and the continuation
with and without the title.
Those with fewer than 500 tracks are filled with the most played tracks. Intervals are over playlists, differences paired.

Legend: C playlists, K tracks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config import settings
from training.data.collections import Collections
from training.data.ragged import Ragged
from training.data.training_data import TrainingData
from training.engine.import_closure import code_hash
from training.engine.workspace import Workspace, is_unchanged, mark_done, write_json
from training.evaluation.baselines.item_knn import ItemKNN
from training.evaluation.baselines.listen_matrix import ListenMatrix
from training.evaluation.baselines.tuned import BASELINES, describe_config, tune_in_stages
from training.evaluation.continuation_tuning import (
    TUNED_SEEDS,
    fit_continuation,
    playlist_cases,
    read_titles,
    split_playlists,
)
from training.evaluation.metrics import bootstrap, continuation_metrics
from training.recall.channel import RecallChannel
from training.recall.continuation.registry import all_sources
from training.recall.continuation.source import TITLE_SOURCES
from training.recall.knowledge_graph.channel import KnowledgeGraphWalks
from training.recall.multi_interest.channel import MultiInterest
from training.recall.realtime.channel import Realtime
from training.recall.registry import load_channels
from training.recipes import recipe
from training.slate.continuation_weights import CUTOFFS, Continuation, PlaylistCases
from training.train import train

NAME = "continuation"
SEED_COUNTS = (0, 1, 5, 25)
K = 500
CHANNELS = (Realtime.name, MultiInterest.name, KnowledgeGraphWalks.name)
POPULARITY, PLAYLIST_KNN, LISTEN_KNN, TITLE = "popularity", "item-kNN, playlists", "item-kNN, listens", "title only"
CHANNELS_EQUAL = "channels, equal weights"
WITHOUT_TITLE, WITH_TITLE = "continuation", "continuation with title"
BASELINE_LISTS = (POPULARITY, PLAYLIST_KNN, LISTEN_KNN, CHANNELS_EQUAL, TITLE)

Lists = NDArray[np.int64]


@dataclass(frozen=True)
class HeldOutPlaylists:
    """Data and channels that do not know the validation and test playlists."""

    data: TrainingData
    channels: Mapping[str, RecallChannel]
    playlists: Collections  # all of them, with the items of `data`
    parts: Mapping[str, NDArray[np.int64]]  # part → numbers of playlists

    @classmethod
    def fit(cls, workspace: Workspace, folder: Path) -> HeldOutPlaylists:
        """Write the reduced marts into `folder` and fit the channels on them; finished fits are reused."""
        data = TrainingData(workspace.marts, "held_out", recipe(workspace.recipe))
        complete = Collections.of(data, "playlist")
        parts = split_playlists(complete)
        hidden = [str(complete.ids_N[number]) for part in ("validation", "test") for number in parts[part].tolist()]
        marts = folder / "marts"
        write_reduced_marts(workspace, hidden, marts)
        reduced = Workspace(folder / "training" / workspace.folder.name, marts, workspace.as_of, workspace.recipe)
        for name in CHANNELS:
            print(f"{NAME}: fit {name}", flush=True)
            train(reduced, "channel", name, "held_out")
        data = TrainingData(marts, "held_out", recipe(workspace.recipe), cache_folder=reduced.cache_folder("held_out"))
        folders = {name: reduced.channel_folder("held_out", name) for name in CHANNELS}
        playlists = Collections.of(data, "playlist", workspace.marts)
        return cls(data, load_channels(folders, data.vocabulary), playlists, split_playlists(playlists))


def write_reduced_marts(workspace: Workspace, hidden: list[str], folder: Path) -> None:
    """The marts without these playlists, their edges, and all events about them or from them."""
    inputs = workspace.inputs(hidden=hidden, code=code_hash(__name__))
    if is_unchanged(folder, inputs):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    contexts = [f"playlist:{name}" for name in hidden]
    for source in sorted(workspace.marts.glob("*.parquet")):
        target = folder / source.name
        if source.stem == "events":
            is_of = pl.col("context_id").is_in(contexts).fill_null(False)
            is_about = (pl.col("target_type") == "playlist") & pl.col("target_id").is_in(hidden)
            rows = pl.read_parquet(source)
            rows.filter(~(is_of | is_about.fill_null(False))).write_parquet(target)
            removed = rows.filter(is_of | is_about.fill_null(False)).select("user_id", "event_id")
            plays = pl.scan_parquet(workspace.marts / "plays.parquet").collect()
            plays.join(removed, on=["user_id", "event_id"], how="anti", maintain_order="left").write_parquet(
                folder / "plays.parquet"
            )
        elif source.stem == "knowledge_triples":
            is_hidden = pl.col("head").is_in(contexts) | pl.col("tail").is_in(contexts)
            pl.read_parquet(source).filter(~is_hidden).write_parquet(target)
        elif source.stem == "playlists":
            pl.read_parquet(source).filter(~pl.col("playlist_id").is_in(hidden)).write_parquet(target)
        elif source.stem != "plays":
            target.symlink_to(source.resolve())
    mark_done(folder, inputs)


def measure(held_out: HeldOutPlaylists) -> dict[str, Any]:
    """Metrics of every list by number of seeds, with intervals and differences from every baseline."""
    data, playlists, parts = held_out.data, held_out.playlists, held_out.parts
    known, validation, test = parts["train"], parts["validation"], parts["test"]
    continuation = fit_continuation(data, held_out.channels, playlists, known, validation)
    titles = read_titles(data, playlists, known)
    sources = all_sources(held_out.channels, playlists, known, continuation.neighbors, titles, data.catalog_V)
    listens = ListenMatrix.from_data(data)
    listen_knn, listen_config = _tune_listen_knn(listens, playlists, validation)
    tables: dict[str, Any] = {}
    for seeds in SEED_COUNTS:
        cases, titled = (playlist_cases(playlists, test, (seeds,), has_title) for has_title in (False, True))
        if not len(cases):
            continue
        found = titled.recall(sources, K)
        of_seeds = {name: one for name, one in found.items() if name not in TITLE_SOURCES}
        of_title = {name: one for name, one in found.items() if name in TITLE_SOURCES}
        lists: dict[str, Lists] = {POPULARITY: np.zeros((len(cases), 0), dtype=np.int64)}
        if seeds:
            lists[PLAYLIST_KNN] = found["playlist_neighbors"].items_BK
            lists[LISTEN_KNN] = listen_knn(cases)
            of_channels = {name: found[name] for name in CHANNELS if name in found}
            lists[CHANNELS_EQUAL] = Continuation().fuse(of_channels, cases.seeds, K).items_BK
        no_seeds = Ragged(np.zeros(0, dtype=np.int64), np.zeros(len(cases) + 1, dtype=np.int64))
        lists[TITLE] = continuation.fuse(of_title, no_seeds, K).items_BK
        if seeds:
            lists |= {name: one.items_BK for name, one in of_seeds.items() if name != "playlist_neighbors"}
            lists[WITHOUT_TITLE] = continuation.fuse(of_seeds, cases.seeds, K).items_BK
        lists |= {name: one.items_BK for name, one in of_title.items()}
        lists[WITH_TITLE] = continuation.fuse(found, cases.seeds, K).items_BK
        values = {
            name: continuation_metrics.measure(fill_with_popular(items_CK, cases, data.catalog_V), cases.targets)
            for name, items_CK in lists.items()
        }
        tables[str(seeds)] = _table(values) | {"playlists": len(cases)}
    return {
        "playlists": {part: len(numbers) for part, numbers in parts.items()},
        "events_removed": _count_removed(held_out),
        "continuation": asdict(continuation),
        "item_knn_listens": listen_config,
        "seeds": tables,
    }


def fill_with_popular(items_CK: Lists, cases: PlaylistCases, catalog_V: NDArray[np.bool_]) -> Lists:
    """Lists of K items: the given ones, then the most played tracks of the catalog, without seeds and repetitions."""
    popular = np.flatnonzero(catalog_V)  # items are numbered by decreasing play count
    filled_CK = np.zeros((len(cases), K), dtype=np.int64)
    for case, row in enumerate(items_CK):
        given = row[row > 0][:K]
        rest = popular[~np.isin(popular, np.concatenate([given, cases.seeds[case]]))]
        items = np.concatenate([given, rest])[:K]
        filled_CK[case, : len(items)] = items
    return filled_CK


def _tune_listen_knn(
    listens: ListenMatrix, playlists: Collections, validation: NDArray[np.int64]
) -> tuple[Callable[[PlaylistCases], Lists], str]:
    """Item-kNN over listens with the parameters that have the highest recall of validation playlists with a few seeds."""
    cases = playlist_cases(playlists, validation, TUNED_SEEDS[2], has_title=False)

    def recall(model: ItemKNN, some: PlaylistCases, k: int) -> Lists:
        items_CK = np.zeros((len(some), k), dtype=np.int64)
        for case in range(len(some)):
            columns = listens.column_V[some.seeds[case]]
            columns = columns[columns >= 0]
            if not len(columns):
                continue
            score_I = model.scores(columns, np.ones((1, len(columns)), dtype=np.int64))[:, 0]
            score_I[columns] = 0
            order = np.argsort(-score_I, kind="stable")[:k]
            order = order[score_I[order] > 0]
            items_CK[case, : len(order)] = listens.tracks_I[order]
        return items_CK

    def worth(config: Any) -> float:
        is_hit_CK = cases.targets.contains(recall(config.fit(listens), cases, max(CUTOFFS)))
        return sum(float((is_hit_CK[:, :k].sum(1) / cases.targets.count_C).mean()) for k in CUTOFFS)

    grid = {"item_knn": BASELINES["item_knn"]}
    best: Any = tune_in_stages(grid, lambda configs: [worth(config) for config in configs], float)[0]["item_knn"]
    model = best.fit(listens)
    return lambda some: recall(model, some, K), describe_config(best)


def _table(values: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> dict[str, Any]:
    estimates = {
        name: {metric: bootstrap.mean(values_C) for metric, values_C in row.items()} for name, row in values.items()
    }
    return {
        "lists": {
            name: {metric: estimate.interval() for metric, estimate in row.items()} for name, row in estimates.items()
        },
        "difference": {
            name: {
                baseline: {metric: (row[metric] - estimates[baseline][metric]).interval() for metric in row}
                for baseline in BASELINE_LISTS
                if baseline in estimates
            }
            for name, row in estimates.items()
            if name in (WITHOUT_TITLE, WITH_TITLE)
        },
    }


def _count_removed(held_out: HeldOutPlaylists) -> int:
    reduced = pl.scan_parquet(held_out.data.marts / "events.parquet").select(pl.len()).collect().item()
    return int(_complete_events(held_out) - reduced)


def _complete_events(held_out: HeldOutPlaylists) -> int:
    marts = (held_out.data.marts / "tracks.parquet").resolve().parent
    return int(pl.scan_parquet(marts / "events.parquet").select(pl.len()).collect().item())


def report(workspace: Workspace, folder: Path) -> str:
    """Fit, measure, and write the numbers to `continuation.json` of the reports; return the tables as Markdown."""
    content = measure(HeldOutPlaylists.fit(workspace, folder))
    reports = settings.load_settings().reports
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / f"{NAME}.json", content)
    return render(content, workspace.recipe)


def render(content: Mapping[str, Any], recipe_name: str) -> str:
    """The tables as Markdown."""
    counts = content["playlists"]
    lines = [
        f"# {NAME}",
        "",
        "How well are held-out playlists continued from their first tracks and their title?",
        "",
        f"`make ablation ABLATION={NAME}`, recipe `{recipe_name}`; {counts['test']} test, {counts['validation']} validation "
        f"and {counts['train']} known playlists; {content['events_removed']:,} events of the first two were removed from "
        "the data of all models. Means with 95 % intervals over test playlists; clicks: lower is better.",
    ]
    for seeds, table in content["seeds"].items():
        lines += [
            "",
            f"## {seeds} seeds, {table['playlists']} playlists",
            "",
            "| list | R-precision | NDCG@500 | clicks |",
            "|---|---|---|---|",
        ]
        for name, row in table["lists"].items():
            lines.append(f"| {name} | {' | '.join(_format(row[metric]) for metric in continuation_metrics.METRICS)} |")
        for name, differences in table["difference"].items():
            for baseline, row in differences.items():
                cells = " | ".join(_format(row[metric], "+") for metric in continuation_metrics.METRICS)
                lines.append(f"| {name} - {baseline} | {cells} |")
    return "\n".join([*lines, ""])


def _format(interval: list[float], sign: str = "") -> str:
    value, low, high = interval
    return f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"
