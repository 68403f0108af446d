"""Slates of held-out requests: fused candidates, filters, ranker, blend, first LENGTH slots with a cap per artist.

Fusion, filters, reactions, blend and slots are the functions that the service calls, on the same table. `served` is the list
that a user would get, `ranker` the same with the order of the ranker alone, `fused` the candidates in fused order. All have
the cap of the daily scene, except `served_uncapped`; the artists of `served_unspaced` are not spaced, and reactions have no
say in `served_without_reactions`. Slates are computed for a sample of each user's requests, selected by a hash of
user and time: requests stay in the sample when the time window moves, so that releases can be compared on common ones.
Legend: C cases, K candidates, L slate length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged, is_among
from recommender.catalog.catalog import Catalog
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.task_weights import TaskWeights
from recommender.slate import ranker_blend
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.feedback import FeedbackWeights, Reactions
from recommender.slate.filters import FilterContext, apply_filters
from recommender.slate.fusion import DEFAULT_DISCOVERY_SHARE, Fusion, interleave
from recommender.slate.ranker_blend import Blend
from recommender.slate.scene_settings import MAX_RANKED_CANDIDATES, MIN_RANKED_DISCOVERY_SHARE, SCENES, ArtistCap
from recommender.slate.slots import Slots
from sequences.sequence_batch import FIRST_CODE
from training.data.candidate_lists import case_scenes
from training.data.recall_cases import RecallCases, row_chunks
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.evaluation.serving_filter import ServingFilter
from training.process import parallel_map

LENGTH = 30  # tracks of a slate
METRICS = ("recall_at_30", "ndcg_at_10")
CASE_BATCH_SIZE = 16
FUSION_BATCH_SIZE = 64  # requests whose candidates are held before the cut
DAILY = SCENES["daily"]
ARTIST_CAP = DAILY.artist_cap
UNSPACED = replace(ARTIST_CAP, is_spaced=False)
NO_ARTIST_CAP = ArtistCap(LENGTH, head_tracks=LENGTH)
LIST_RULES = (
    f"slots by share, at most {ARTIST_CAP.tracks} known and {ARTIST_CAP.new_tracks} new tracks per artist, "
    f"{ARTIST_CAP.head_tracks} at the head, artists spaced, two of three new tracks by new artists, reactions"
)
"""Rules of the lists; the gate compares releases with the same ones only. Change it with the rules."""
REACHABLE = "reachable_recall_at_30"

Key = TypeVar("Key")


@dataclass(frozen=True)
class Requests:
    """C past requests as the service read them."""

    cases: RecallCases
    candidates: Mapping[str, Ints]  # of each channel
    history: Ragged  # items that the user of each request had played
    catalog: Catalog
    contexts: Sequence[FilterContext]
    reactions: Sequence[Reactions]

    @classmethod
    def read(
        cls, cases: RecallCases, candidates: Mapping[str, Ints], history: Ragged, servable: ServingFilter
    ) -> Requests:
        """Read the exclusions and the reactions of each request."""
        read = list(servable.read_requests(cases))
        contexts, reactions = [context for context, _ in read], [reaction for _, reaction in read]
        return cls(cases, candidates, history, servable.catalog, contexts, reactions)

    @cached_property
    def scenes(self) -> list[str]:
        """Scene of each request, "" if the log has none."""
        return case_scenes(self.cases)

    def __len__(self) -> int:
        """Number of requests, C."""
        return len(self.cases)

    def take(self, rows: Ints) -> Requests:
        """The requests of `rows`, in that order."""
        return replace(
            self,
            cases=self.cases.take(rows),
            candidates={name: items_CK[rows] for name, items_CK in self.candidates.items()},
            history=self.history.take(rows),
            contexts=[self.contexts[row] for row in rows],
            reactions=[self.reactions[row] for row in rows],
        )

    def show_list(self, items_CK: Ints, order: Blend) -> Ints:
        """Slates [C, L] of other lists of these requests: with the filters, slots and spacing of the served list."""
        slates = []
        for row, context in enumerate(self.contexts):
            items_C = items_CK[row][items_CK[row] > 0]
            items_C = items_C[apply_filters(items_C, context)[0]]
            zeros_C, rank_CH = np.zeros_like(items_C), np.zeros((len(items_C), 0), dtype=np.int32)
            table = CandidateTable.of((), 1, zeros_C, items_C, ~is_among(items_C, self.history[row]), rank_CH)
            scored = table.scored(1.0 / np.arange(1, len(items_C) + 1))
            slates.append(self.fill_slots(row, scored, replace(order, diversity=0.0), ARTIST_CAP))
        return pad(slates, LENGTH)

    def fill_slots(self, row: int, table: CandidateTable, order: Blend, cap: ArtistCap) -> Ints:
        """The items of the slate of one request, given its candidates, best first."""
        share = order.discovery_share(self.scenes[row])
        share = DEFAULT_DISCOVERY_SHARE if share is None else share
        slots = Slots.of(table, self.catalog, DAILY, LENGTH, share, order.diversity, self.history[row])
        place_L = replace(slots, cap=cap).select(table)
        return table.item_C[place_L[place_L >= 0]]


@dataclass(frozen=True)
class Slate:
    """Ranked candidates of C requests, up to K each."""

    requests: Requests
    tables: Sequence[CandidateTable]  # candidates of each request, in fused order
    evidence: Sequence[NDArray[np.floating]]  # [K, F] of each user's reactions, see `recommender.slate.feedback`
    ranker_CK: NDArray[np.floating]  # combined scores of the ranker's heads
    task_probabilities: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # head → [C, K]

    @classmethod
    def build(cls, requests: Requests, fusion: Fusion, share: float | None = None) -> Slate:
        """Run the stages of the service before the ranker, whose scores are 0.

        `share` is the share of discoveries that requests ask for; None if they do not.
        """
        fusion = fusion.with_min_share(MIN_RANKED_DISCOVERY_SHARE)

        def build_batch(rows: Ints) -> list[tuple[CandidateTable, NDArray[np.floating]]]:
            part = requests.take(rows)
            fused = fusion.fuse(CandidateTable.merge(part.candidates, part.history), part.scenes, share)
            read = zip(fused.split(), part.contexts, part.reactions, strict=True)
            return [_keep_ranked(*request, requests.catalog) for request in read]

        parts = parallel_map(build_batch, row_chunks(len(requests), FUSION_BATCH_SIZE), "slates")
        kept = [request for part in parts for request in part]
        tables = [table for table, _ in kept]
        longest = max([0, *map(len, tables)])
        return cls(requests, tables, [evidence for _, evidence in kept], np.zeros((len(tables), longest)))

    def take(self, rows: Ints) -> Slate:
        """The requests of `rows`, in that order."""
        return replace(
            self,
            requests=self.requests.take(rows),
            tables=[self.tables[row] for row in rows],
            evidence=[self.evidence[row] for row in rows],
            ranker_CK=self.ranker_CK[rows],
            task_probabilities={task: values[rows] for task, values in self.task_probabilities.items()},
        )

    def with_ranker(self, held_out: HeldOutModels, ranker: FittedRanker, heads: TaskWeights) -> Slate:
        """A copy with the scores of a ranker."""
        items_CK = pad([table.item_C for table in self.tables])
        probabilities = predict_tasks(held_out, ranker, self.requests.cases, items_CK)
        return replace(self, task_probabilities=probabilities).with_task_weights(heads)

    def with_task_weights(self, heads: TaskWeights) -> Slate:
        """A copy whose combined scores use other task weights."""
        scene_C = np.array(self.requests.scenes, dtype=object)
        score_CK = np.zeros(self.ranker_CK.shape)
        for scene in np.unique(scene_C):
            rows = np.flatnonzero(scene_C == scene)
            score_CK[rows] = heads.score(
                {task: values[rows] for task, values in self.task_probabilities.items()}, scene
            )
        return replace(self, ranker_CK=score_CK)

    def select_items(self, order: Blend, cap: ArtistCap = ARTIST_CAP) -> Ints:
        """Slates [C, L] of all requests.

        Args:
            order: Weights of the ranker, strength of diversity, and shares of discoveries.
            cap: Maximum number of tracks per artist.
        """
        slates = []
        for row, table in enumerate(self.tables):
            factors = order.feedback.log_factors(self.evidence[row])
            ranked = order.rank(table, self.ranker_CK[row, : len(table)], factors)
            slates.append(self.requests.fill_slots(row, ranked, order, cap))
        return pad(slates, LENGTH)

    def select_each(self, orders: Mapping[Key, tuple[Blend, ArtistCap]]) -> dict[Key, Ints]:
        """`select_items` of each order, in parallel."""
        lists = parallel_map(lambda one: self.select_items(*one), list(orders.values()), "slates")
        return dict(zip(orders, lists, strict=True))

    def measure_each(self, orders: Mapping[Key, tuple[Blend, ArtistCap]]) -> dict[Key, dict[str, float]]:
        """`metric_values` of each order."""
        return {key: self.metric_values(items_CL) for key, items_CL in self.select_each(orders).items()}

    def select_fused(self, fusion: Fusion, cap: ArtistCap = ARTIST_CAP) -> Ints:
        """Slates [C, L] in fused order, with the shares of the fusion instead of slots."""
        slates = []
        for table, scene in zip(self.tables, self.requests.scenes, strict=True):
            by_kind = table.take(np.argsort(table.is_discovery_C, kind="stable"))
            merged = interleave(by_kind, [fusion.discovery_share(scene)])
            artist_C = self.requests.catalog.main_artist_V[merged.item_C]
            slates.append(merged.item_C[cap.first_tracks(artist_C, merged.is_discovery_C)[:LENGTH]])
        return pad(slates, LENGTH)

    def metric_values(self, items_CL: Ints) -> dict[str, float]:
        """METRICS of all targets, and REACHABLE."""
        metrics = recall_metrics.measure(items_CL, self.requests.cases, METRICS)
        values = {name: parts["all"].value for name, parts in metrics.items()}
        return values | {REACHABLE: float(np.nan_to_num(metrics["recall_at_30"]["reachable"].value))}

    def describe_lists(self, items_CL: Ints) -> dict[str, Any]:
        """What slates consist of: `discovery_share` as mean, smallest and largest share of tracks that the user had not
        played; `tracks_per_artist` as median and largest number of tracks by the most frequent artist. NaN without a list.
        """
        if not len(items_CL):
            return {"discovery_share": [np.nan] * 3, "tracks_per_artist": [np.nan] * 2}
        shown_CL = items_CL > 0
        is_new_CL = shown_CL & ~self.requests.history.contains(items_CL)
        share_C = is_new_CL.sum(1) / np.maximum(shown_CL.sum(1), 1)
        artist_CL = self.requests.catalog.main_artist_V[items_CL]
        most_C = np.array([np.bincount(row[row >= FIRST_CODE], minlength=1).max() for row in artist_CL])
        return {
            "discovery_share": [float(share_C.mean()), float(share_C.min()), float(share_C.max())],
            "tracks_per_artist": [float(np.median(most_C)), int(most_C.max())],
        }


def slate_objective(metrics: Mapping[str, float]) -> float:
    """Sum of METRICS, by which the ranker's weight is chosen."""
    return round(sum(metrics[name] for name in METRICS), 6)


def nanmean_or_none(values: NDArray[np.float64]) -> float | None:
    """Mean of the values that are not NaN; None if there are none."""
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if len(valid) else None


def sample_rows(cases: RecallCases, per_user: int) -> Ints:
    """Rows of at most `per_user` cases of each user, selected by the smallest hash of user and time, in ascending
    order.
    """
    names = [f"{user}-{time}" for user, time in zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True)]
    hash_C = np.array(
        [int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") for name in names],
        dtype=np.uint64,
    )
    order = np.lexsort((hash_C, cases.user_C))
    users = cases.user_C[order]
    rank = np.arange(len(order)) - np.searchsorted(users, users)
    return np.sort(order[rank < per_user])


def measure_by_request(items_CK: Ints, cases: RecallCases, track_ids_V: NDArray[np.object_]) -> pl.DataFrame:
    """One row per request for the release gate: user_id, request_at (µs), a hash of its targets, LIST_RULES, and METRICS
    of all targets.
    """
    metrics = recall_metrics.measure_by_case(items_CK, cases, METRICS)
    targets = cases.items["targets"]
    hashes = [
        hashlib.blake2b("\n".join(sorted(track_ids_V[targets[case]].tolist())).encode(), digest_size=8).hexdigest()
        for case in range(len(cases))
    ]
    columns = {"user_id": cases.user_ids.tolist(), "request_at": cases.request_at_C, "targets": hashes}
    measured = pl.DataFrame(columns | {name: metrics[name]["all"] for name in METRICS})
    return measured.with_columns(rules=pl.lit(LIST_RULES))


def _keep_ranked(
    table: CandidateTable, context: FilterContext, reactions: Reactions, catalog: Catalog
) -> tuple[CandidateTable, NDArray[np.floating]]:
    """The candidates of one request that pass the filters and are ranked, and the evidence of the user's reactions."""
    table = table.take(apply_filters(table.item_C, context)[0])
    evidence_CF = reactions.evidence(table.item_C, catalog)
    is_ranked_C = ranker_blend.cut(table, FeedbackWeights().log_factors(evidence_CF), MAX_RANKED_CANDIDATES)
    return table.take(is_ranked_C), evidence_CF[is_ranked_C].astype(np.float32)


def pad(lists: Sequence[Ints | list[int]], length: int = 0) -> Ints:
    """The lists as rows, padded right with 0 to `length` or the longest."""
    items_CK = np.zeros((len(lists), max([length, *(len(items) for items in lists)])), dtype=np.int64)
    for row, items in enumerate(lists):
        items_CK[row, : len(items)] = items
    return items_CK


def predict_tasks(held_out: HeldOutModels, ranker: FittedRanker, cases: RecallCases, items_CK: Ints) -> dict[str, Any]:
    """Probability of every candidate [C, K] by head of the ranker."""
    scenes = case_scenes(cases)
    users = held_out.offline.load_user_batch(
        ranker.feature_service, cases.user_ids.tolist(), cases.request_at_C, scenes
    )

    def predict_batch(rows: Ints) -> dict[str, NDArray[np.float32]]:
        return ranker.score(users.take(rows.tolist()), items_CK[rows])

    batches = row_chunks(len(cases), CASE_BATCH_SIZE)
    parts = list(parallel_map(predict_batch, batches, "rank slates"))
    return {task: np.concatenate([part[task] for part in parts]) for task in (parts[0] if parts else ())}
