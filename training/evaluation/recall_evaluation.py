"""Recall on the test part: channels, fused order, baselines and slates on its sessions; collections on their openings.

The recall of collections (playlists and mlogs) is compared with two baselines: most and last opened.

Legend: C sessions or openings, K candidates, O recently opened collections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.ranking.task_weights import ANY_SCENE
from recommender.recall.collection_recall import CollectionRecall
from recommender.slate.feedback import NO_FEEDBACK
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from sequences.sequence_batch import FIRST_CODE
from training.data.candidate_lists import fuse_candidates
from training.data.collection_cases import build_collection_cases
from training.data.offline_features import load_user_batches
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines.tuned import HEURISTIC_BASELINES
from training.evaluation.fusion_tuning import DISCOVERY_SHARE_GRID
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import channel_overlap, recall_by_group, recall_metrics
from training.evaluation.metrics.recall_metrics import COLLECTION_METRICS, RECALL_METRICS
from training.evaluation.model_selection import Choice
from training.evaluation.result import Result, intervals
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate_evaluation import (
    ARTIST_CAP,
    NO_ARTIST_CAP,
    UNSPACED,
    Requests,
    Slate,
    measure_by_request,
    nanmean_or_none,
    pad,
    sample_rows,
)
from training.evaluation.slate_evaluation import METRICS as SLATE_METRICS

TEST_SLATES_PER_USER = 20
REQUESTED_SLATES_PER_USER = 5
ARTIST_POPULARITY = "artist_popularity"
REQUESTED_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
COLLECTION_PARTS = ("all", "repeat", "discovery")
MOST_OPENED, LAST_OPENED = "most_opened", "last_opened"


def measure_recall(
    held_out: HeldOutModels, servable: ServingFilter, choice: Choice, cases: RecallCases, result: Result, folder: Path
) -> None:
    """Measure channels, fused order and baselines on every test case, and slates on a sample of the cases.

    Adds the metrics to `result` and writes the recommended lists (`recall_<name>.parquet`) and the metrics of the
    slates by request (`slate.parquet`) to `folder`.
    """
    candidates, history = held_out.recall(cases, "test")
    lists, fusion, k = dict(candidates), choice.fusion, CANDIDATES_PER_CHANNEL
    shares = sorted({*DISCOVERY_SHARE_GRID, fusion.discovery_share(ANY_SCENE)})
    by_share = fuse_candidates(
        candidates,
        history,
        cases,
        lambda table, scenes: {
            "fused": fusion.fuse(table, scenes).items(k),
            **fusion.fuse_by_share(table, k, shares, scenes),
        },
    )
    lists["fused"] = by_share.pop("fused")
    lists |= choice.baselines.recall(cases, CANDIDATES_PER_CHANNEL)
    values = {name: recall_metrics.measure_by_case(items, cases, RECALL_METRICS) for name, items in lists.items()}
    for name, items in lists.items():
        result.recall[name] = recall_metrics.estimates(values[name], cases)
        result.coverage[name] = recall_metrics.coverage(items, held_out.data.catalog_V)
        predictions(held_out.data, cases, items).write_parquet(folder / f"recall_{name}.parquet")
    at_50 = {name: values[name]["recall_at_50"]["all"] for name in lists}
    subsets = recall_by_group.facet_subsets(cases, held_out.data.facets)
    by_facet = recall_by_group.SubsetRecall(cases, subsets, channel_overlap.OVERLAP_AT)
    result.notes |= {
        "cases": {"test_sessions": len(cases), "test_users": len(np.unique(cases.user_C))},
        "by_history": {name: recall_by_group.recall_by_history(values_C, cases) for name, values_C in at_50.items()},
        "by_facet": {name: by_facet.measure(items) for name, items in lists.items()},
        "overlap_at_50": channel_overlap.overlap(candidates),
        "hits_at_200": channel_overlap.unique_hits(candidates, cases),
        "share_curve": {
            str(share): intervals(recall_metrics.measure(items, cases, RECALL_METRICS[:2]))
            for share, items in by_share.items()
        },
        "cold_start": measure_cold_start(held_out.data, cases, lists),
    }
    rows = sample_rows(cases, cases.number_per_user(TEST_SLATES_PER_USER))
    sample = {name: items_CK[rows] for name, items_CK in lists.items()}
    requests = Requests.read(
        cases.take(rows), {name: sample[name] for name in candidates}, history.take(rows), servable
    )
    shown = _measure_slates(held_out, choice, requests, sample, result, folder)
    masks = recall_metrics.new_item_masks(held_out.data)
    result.notes["exposure"] = {
        "catalog": recall_metrics.exposure(np.flatnonzero(held_out.data.catalog_V), masks),
        "recall": {name: recall_metrics.exposure(items, masks) for name, items in lists.items()},
        "slate": {name: recall_metrics.exposure(items, masks) for name, items in shown.items()},
    }
    result.notes["slate_sample"] = {
        "requests": len(rows),
        "of": len(cases),
        "per_user": cases.number_per_user(TEST_SLATES_PER_USER),
        "drawn_by": "the smallest hashes of user and time",
    }


def _measure_slates(
    held_out: HeldOutModels,
    choice: Choice,
    requests: Requests,
    lists: Mapping[str, NDArray[np.int64]],
    result: Result,
    folder: Path,
) -> dict[str, NDArray[np.int64]]:
    """Slates [C, L] of the requests by name; `lists` has the lists of all baselines for them."""
    slate, order = Slate.build(requests, choice.fusion), choice.blend
    orders = {
        "served": (order, ARTIST_CAP),
        "served_uncapped": (order, NO_ARTIST_CAP),
        "served_unspaced": (order, UNSPACED),
        "served_without_reactions": (replace(order, feedback=NO_FEEDBACK), ARTIST_CAP),
    }
    if choice.ranker:
        slate = slate.with_ranker(held_out, held_out.rankers[choice.ranker], order.heads)
        orders["ranker"] = replace(order, weight=1.0, discovery_weight=1.0), ARTIST_CAP
    shown = slate.select_each(orders)
    shown = {"served": shown.pop("served"), "fused": slate.select_fused(choice.fusion), **shown}
    # Baselines are lists that could be shown, too: they have the same filters, slots and spacing.
    shown |= {name: requests.show_list(lists[name], order) for name in HEURISTIC_BASELINES if name in lists}
    ids = held_out.data.vocabulary.track_ids_V
    for name, items in shown.items():
        result.slate[name] = recall_metrics.measure(items, requests.cases, SLATE_METRICS)
    by_request = [
        measure_by_request(items, requests.cases, ids).with_columns(name=pl.lit(name)) for name, items in shown.items()
    ]
    pl.concat(by_request).write_parquet(folder / "slate.parquet")
    # The sample of few requests per user is a part of the sample of many.
    few = requests.take(sample_rows(requests.cases, REQUESTED_SLATES_PER_USER))
    result.notes["slate_lists"] = {name: slate.describe_lists(items) for name, items in shown.items()}
    result.notes["requested_shares"] = measure_requested_shares(few, choice)
    facets = requests.catalog.facets
    result.notes["diversity"] = {
        name: nanmean_or_none(facets.intra_list_diversity(items)) for name, items in shown.items()
    }
    return shown


def measure_requested_shares(requests: Requests, choice: Choice) -> dict[str, Any]:
    """Section `requested_shares` of `evaluation.json`: `Slate.describe_lists` of the slates of requests with each of
    REQUESTED_SHARES, in fused order.
    """
    table = {}
    for share in REQUESTED_SHARES:
        slate = Slate.build(requests, choice.fusion, share)
        order = replace(
            choice.blend, weight=0.0, discovery_weight=0.0, diversity=0.0, discovery_shares={ANY_SCENE: share}
        )
        table[str(share)] = slate.describe_lists(slate.select_items(order))
    return table


def measure_cold_start(
    data: TrainingData, cases: RecallCases, lists: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    """Section `cold_start` of `evaluation.json`: recall@200 of targets whose track or artist has few plays or none.

    Returns:
        `targets`: subset → number of targets. `recall`: list → subset → [value, low, high]; further lists of this
        section are `artist_popularity` only.
    """
    recall = recall_by_group.SubsetRecall(cases, recall_by_group.play_subsets(data), CANDIDATES_PER_CHANNEL)
    by_artist_K = recall_by_group.rank_by_artist_popularity(data, CANDIDATES_PER_CHANNEL)
    with_baseline = {**lists, ARTIST_POPULARITY: np.tile(by_artist_K, (len(cases), 1))}
    return {
        "targets": recall.count_targets(),
        "recall": {name: recall.measure(items_CK) for name, items_CK in with_baseline.items()},
    }


def predictions(data: TrainingData, cases: RecallCases, items_CK: NDArray[np.int64]) -> pl.DataFrame:
    """Recommended lists as a table: `user_id`, `sequence_number`, `tracks` (ids, best first)."""
    tracks = [data.vocabulary.decode(row[row > 0]) for row in items_CK]
    columns = {"user_id": cases.user_ids.tolist(), "sequence_number": cases.play_number_C, "tracks": tracks}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String, "tracks": pl.List(pl.String)})


def measure_collections(held_out: HeldOutModels) -> dict[str, Any]:
    """Section `containers` of `evaluation.json`, by kind of collection.

    Returns:
        Numbers of collections, openings and users, the chosen weights, and `recall` (list → metric → part → [value, low, high]).
    """
    return {name: _measure_collection(held_out, recaller) for name, recaller in held_out.collection_recallers.items()}


def _measure_collection(held_out: HeldOutModels, recaller: CollectionRecall) -> dict[str, Any]:
    cases = build_collection_cases(held_out.data, recaller.collections, "test")
    config = recaller.resolved_config
    content: dict[str, Any] = {
        "containers": len(recaller.collections) - FIRST_CODE,
        "openings": len(cases),
        "users": len(np.unique(cases.user_C)),
        "chosen": {"opened_weight": config.opened_weight, "popular_weight": config.popular_weight},
    }
    if not len(cases):
        return content | {"recall": {}}
    tables = {}
    for name, items in _collection_lists(held_out, recaller, cases).items():
        measured = recall_metrics.measure(items, cases, COLLECTION_METRICS)
        tables[name] = {metric: {part: row[part] for part in COLLECTION_PARTS} for metric, row in measured.items()}
    return content | {"recall": {name: intervals(table) for name, table in tables.items()}}


def _collection_lists(held_out: HeldOutModels, recaller: CollectionRecall, cases: Any) -> dict[str, NDArray[np.int64]]:
    """Candidates [C, K] of each list, by name."""
    k = max(int(metric.rpartition("_")[2]) for metric in COLLECTION_METRICS)
    batches = load_user_batches(held_out.data, cases, recaller.feature_service)
    popular_CK = np.tile(recaller.collections.popular_K[:k], (len(cases), 1))
    opened_CO = np.concatenate([recaller.recent_openings(users)[0] for users in batches])
    both_CX = np.concatenate([opened_CO, popular_CK], axis=1)
    last_CK = pad([list(dict.fromkeys(both[both > 0].tolist()))[:k] for both in both_CX], k)
    recalled_CK = np.concatenate([recaller.recall(users, k) for users in batches])
    return {recaller.name: recalled_CK, MOST_OPENED: popular_CK, LAST_OPENED: last_CK}
