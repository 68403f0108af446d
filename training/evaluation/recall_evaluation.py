"""Recall on the test sessions: channels, fused order, baselines, memories, and the slate that a listener would get.

Knows nothing about how anything was chosen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines import heuristics
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import channel_overlap, recall_metrics
from training.evaluation.metrics.new_item_exposure import NewItemExposure
from training.evaluation.model_selection import Choice
from training.evaluation.ranker_slates import compare_ranker_slates
from training.evaluation.result import Result
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate import METRICS as SLATE_METRICS
from training.evaluation.slate import Slate, measure_by_request, nanmean_or_none, sample_rows
from training.slate.candidate_lists import case_scenes
from training.slate.fusion import CANDIDATES_PER_CHANNEL

RECALL_METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")
TEST_SLATES_PER_USER = 20


def measure_recall(
    held_out: HeldOutModels, servable: ServingFilter, choice: Choice, cases: RecallCases, result: Result, folder: Path
) -> None:
    """Channels, fused order, baselines and memories on every test case; the slate on a sample of them."""
    found = held_out.recall(cases, "test")
    lists = {name: one.items_BK for name, one in found.items()}
    channels = dict(lists)
    heard = held_out.read_user_history(cases)
    lists["fused"] = choice.fusion.fuse(found, heard, CANDIDATES_PER_CHANNEL, case_scenes(cases)).items_BK
    overall = choice.fusion.fuse(found, heard, CANDIDATES_PER_CHANNEL).items_BK
    lists |= choice.baselines.recall(cases, CANDIDATES_PER_CHANNEL)
    wanted = [name for name in heuristics.HEURISTIC_BASELINES if name not in lists]
    lists |= heuristics.recall(held_out.data, cases, CANDIDATES_PER_CHANNEL, wanted)
    values = {name: recall_metrics.measure_by_case(items, cases, RECALL_METRICS) for name, items in lists.items()}
    for name, items in lists.items():
        result.recall[name] = recall_metrics.estimates(values[name], cases)
        result.coverage[name] = recall_metrics.coverage(items, held_out.data.catalog_V)
        predictions(held_out.data, cases, items).write_parquet(folder / f"recall_{name}.parquet")
    by_facet = channel_overlap.FacetRecall(cases, held_out.data.facets)
    at_50 = {name: values[name]["recall_at_50"]["all"] for name in lists}
    result.notes |= {
        "cases": {"test_sessions": len(cases), "test_users": len(np.unique(cases.user_C))},
        "by_history": {name: channel_overlap.recall_by_history(figures, cases) for name, figures in at_50.items()},
        "by_scene": channel_overlap.recall_by_scene(lists["fused"], overall, cases),
        "by_facet": {name: by_facet.measure(items) for name, items in lists.items()},
        "overlap_at_50": channel_overlap.overlap(channels),
        "hits_at_200": channel_overlap.unique_hits(channels, cases),
    }
    rows = sample_rows(cases, TEST_SLATES_PER_USER)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    ranker = held_out.rankers[choice.ranker] if choice.ranker else None
    slate = Slate.build(held_out, cases.take(rows), some, choice.fusion, ranker, choice.blend.heads, servable)
    apart = choice.blend.diversity
    shown = {
        "served": slate.select_items(choice.blend.weight, diversity=apart),
        "fused": slate.select_items(0.0, diversity=apart),
    }
    if ranker is not None:
        shown["ranker"] = slate.select_items(1.0, diversity=apart)
    shown |= {name: lists[name][rows] for name in heuristics.HEURISTIC_BASELINES if name in lists}
    ids = held_out.data.vocabulary.track_ids_V
    for name, items in shown.items():
        result.slate[name] = recall_metrics.measure(items, slate.cases, SLATE_METRICS)
    requests = [
        measure_by_request(items, slate.cases, ids).with_columns(name=pl.lit(name)) for name, items in shown.items()
    ]
    pl.concat(requests).write_parquet(folder / "slate.parquet")
    result.notes["slates_by_ranker"] = compare_ranker_slates(held_out, cases, found, choice, servable)
    facets = servable.catalog.facets
    result.notes["diversity"] = {
        name: nanmean_or_none(facets.intra_list_diversity(items)) for name, items in shown.items()
    }
    newcomers = NewItemExposure.from_data(held_out.data)
    result.notes["exposure"] = {
        "catalogue": newcomers.shares(np.flatnonzero(held_out.data.catalog_V)),
        "recall": {name: newcomers.shares(items) for name, items in lists.items()},
        "slate": {name: newcomers.shares(items) for name, items in shown.items()},
    }
    result.notes["slate_sample"] = {
        "requests": len(rows),
        "of": len(cases),
        "per_user": TEST_SLATES_PER_USER,
        "drawn_by": "the smallest hashes of user and time",
    }


def predictions(data: TrainingData, cases: RecallCases, items_CK: NDArray[np.int64]) -> pl.DataFrame:
    """`user_id, sequence_number, tracks` (ids, best first): what the anchor's scoring script reads."""
    tracks = [data.vocabulary.decode(row[row > 0]) for row in items_CK]
    columns = {"user_id": cases.user_ids.tolist(), "sequence_number": cases.play_number_C, "tracks": tracks}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String, "tracks": pl.List(pl.String)})
