"""Recall on the test sessions: channels, fused order, baselines, memories, and the slate that a listener would get.

Knows nothing about how anything was chosen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data import TrainingData
from training.evaluation import comparison, memories, recall_metrics
from training.evaluation.choice import Choice
from training.evaluation.exposure import Newcomers
from training.evaluation.held_out import HeldOut
from training.evaluation.result import Result
from training.evaluation.servable import Servable
from training.evaluation.slate import METRICS as SLATE_METRICS
from training.evaluation.slate import Slate, by_request, mean_known, sample
from training.evaluation.slates_by_ranker import slates_by_ranker
from training.fusion import RECALLED
from training.recall_cases import RecallCases
from training.recalled import scenes_of

RECALL_METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")
TEST_SLATES_PER_USER = 20


def measure_recall(
    held_out: HeldOut, servable: Servable, choice: Choice, cases: RecallCases, result: Result, folder: Path
) -> None:
    """Channels, fused order, baselines and memories on every test case; the slate on a sample of them."""
    found = held_out.recall(cases, "test")
    lists = {name: one.items_BK for name, one in found.items()}
    channels = dict(lists)
    heard = held_out.heard(cases)
    lists["fused"] = choice.fusion.fuse(found, heard, RECALLED, scenes_of(cases)).items_BK
    overall = choice.fusion.fuse(found, heard, RECALLED).items_BK
    lists |= choice.baselines.recall(cases, RECALLED)
    wanted = [name for name in memories.MEMORIES if name not in lists]
    lists |= memories.recall(held_out.data, cases, RECALLED, wanted)
    values = {name: recall_metrics.by_case(items, cases, RECALL_METRICS) for name, items in lists.items()}
    for name, items in lists.items():
        result.recall[name] = recall_metrics.estimates(values[name], cases)
        result.coverage[name] = recall_metrics.coverage(items, held_out.data.catalogue_V)
        predictions(held_out.data, cases, items).write_parquet(folder / f"recall_{name}.parquet")
    by_facet = comparison.ByFacet(cases, held_out.data.facets)
    at_50 = {name: values[name]["recall_at_50"]["all"] for name in lists}
    result.notes |= {
        "cases": {"test_sessions": len(cases), "test_users": len(np.unique(cases.user_C))},
        "by_history": {name: comparison.by_history(figures, cases) for name, figures in at_50.items()},
        "by_scene": comparison.by_scene(lists["fused"], overall, cases),
        "by_facet": {name: by_facet.of(items) for name, items in lists.items()},
        "overlap_at_50": comparison.overlap(channels),
        "hits_at_200": comparison.unique_hits(channels, cases),
    }
    rows = sample(cases, TEST_SLATES_PER_USER)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    ranker = held_out.rankers[choice.ranker] if choice.ranker else None
    slate = Slate.build(held_out, cases.take(rows), some, choice.fusion, ranker, choice.blend.heads, servable)
    apart = choice.blend.diversity
    shown = {"served": slate.shown(choice.blend.weight, diversity=apart), "fused": slate.shown(0.0, diversity=apart)}
    if ranker is not None:
        shown["ranker"] = slate.shown(1.0, diversity=apart)
    shown |= {name: lists[name][rows] for name in memories.MEMORIES if name in lists}
    ids = held_out.data.vocabulary.track_ids_V
    for name, items in shown.items():
        result.slate[name] = recall_metrics.measure(items, slate.cases, SLATE_METRICS)
    requests = [by_request(items, slate.cases, ids).with_columns(name=pl.lit(name)) for name, items in shown.items()]
    pl.concat(requests).write_parquet(folder / "slate.parquet")
    result.notes["slates_by_ranker"] = slates_by_ranker(held_out, cases, found, choice, servable)
    facets = servable.catalogue.facets
    result.notes["diversity"] = {name: mean_known(facets.diversity(items)) for name, items in shown.items()}
    newcomers = Newcomers.of(held_out.data)
    result.notes["exposure"] = {
        "catalogue": newcomers.shares(np.flatnonzero(held_out.data.catalogue_V)),
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
