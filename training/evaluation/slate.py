"""Slates of held-out requests: fused candidates, filters, ranker, blend, first LENGTH with a cap per artist.

Fusion and blend are the functions that the service calls. `served` is the blended order, `fused` the same path without
the ranker, `ranker` the order of the ranker alone. Slates are computed for a sample of each user's requests, selected
by a hash of user and time: requests stay in the sample when the time window moves, so that releases can be compared on
common ones.
Legend: C cases, K candidates, L slate length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.catalog import TrackFacets
from training.data.recall_cases import RecallCases
from training.engine.parallel_map import parallel_map
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.evaluation.serving_filter import ServingFilter
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.task_weights import TaskWeights
from training.recall.channel import Candidates
from training.slate import blend
from training.slate.candidate_lists import case_scenes
from training.slate.diversity import MAX_TRACKS_PER_ARTIST, cap_tracks_per_artist, rerank_mmr
from training.slate.fusion import Fusion
from training.slate.scenes import MAX_RANKED_CANDIDATES

LENGTH = 30  # tracks of a slate
METRICS = ("recall_at_30", "ndcg_at_10")
CASE_BATCH_SIZE = 16
ARTIST_CAPS = (2, 3, 5, 7, 10, 15, LENGTH)  # LENGTH: no cap
MAX_RELATIVE_LOSS = 0.01  # of each metric, for more diversity
DIVERSITY_STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """C requests with K candidates each."""

    cases: RecallCases
    items_CK: Ints  # in fused order, padded with 0
    fused_CK: NDArray[np.floating]  # fused scores
    ranker_CK: NDArray[np.floating]  # combined scores of the ranker's heads
    artist_of_track_V: Ints
    facets: TrackFacets | None = None
    task_probabilities: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # head → [C, K]

    @classmethod
    def build(
        cls,
        held_out: HeldOutModels,
        cases: RecallCases,
        candidates: Mapping[str, Candidates],
        fusion: Fusion,
        ranker: FittedRanker | None,
        heads: TaskWeights,
        servable: ServingFilter,
    ) -> Slate:
        """Run the request path up to the combined score of the ranker, which is 0 without a ranker."""
        fused = fusion.fuse(candidates, held_out.read_user_history(cases), MAX_RANKED_CANDIDATES, case_scenes(cases))
        items, scores = servable.filter_candidates(fused.items_BK, cases, fused.scores_BK)
        probabilities = {} if ranker is None else _predict_tasks(held_out, ranker, cases, items)
        artist_V, facets = held_out.data.vocabulary.artist_of_track_V, servable.catalog.facets
        zeros_CK = np.zeros(items.shape, dtype=np.float32)
        slate = cls(cases, items, scores, zeros_CK, artist_V, facets, probabilities)
        return slate.with_task_weights(heads) if ranker is not None else slate

    def with_task_weights(self, heads: TaskWeights) -> Slate:
        """A copy whose combined scores use other task weights."""
        scene_C = np.array(case_scenes(self.cases), dtype=object)
        score_CK = np.zeros(self.items_CK.shape)
        for scene in np.unique(scene_C):
            rows = np.flatnonzero(scene_C == scene)
            score_CK[rows] = heads.score(
                {task: values[rows] for task, values in self.task_probabilities.items()}, scene
            )
        return replace(self, ranker_CK=score_CK)

    def select_items(self, weight: float, per_artist: int = MAX_TRACKS_PER_ARTIST, diversity: float = 0.0) -> Ints:
        """Slates [C, L] of all requests.

        Args:
            weight: Weight of the ranker in the order.
            per_artist: Maximum number of tracks per artist.
            diversity: Strength of the MMR reranking by facet similarity.
        """
        return self.select_by_diversity(weight, (diversity,), per_artist)[diversity]

    def select_by_diversity(
        self, weight: float, strengths: Sequence[float], per_artist: int = MAX_TRACKS_PER_ARTIST
    ) -> dict[float, Ints]:
        """Slates by diversity strength, as `select_items`, computing the similarities of each request once."""
        scores = blend.blend_scores(self.fused_CK, self.ranker_CK, weight)
        order = blend.argsort_descending(np.where(self.items_CK > 0, scores, -np.inf))
        items, scores = np.take_along_axis(self.items_CK, order, axis=1), np.take_along_axis(scores, order, axis=1)

        def select_rows(rows: range) -> dict[float, Ints]:
            slates = {strength: np.zeros((len(rows), LENGTH), dtype=np.int64) for strength in strengths}
            for number, row in enumerate(rows):
                candidates = items[row, items[row] > 0]
                selected = self._select_request(candidates, scores[row, : len(candidates)], per_artist, strengths)
                for strength, positions in selected.items():
                    slates[strength][number, : len(positions)] = candidates[positions]
            return slates

        row_ranges = [
            range(start, min(start + CASE_BATCH_SIZE, len(items))) for start in range(0, len(items), CASE_BATCH_SIZE)
        ]
        # Starting processes only pays off for MMR, which selects items one by one.
        parts = list(
            parallel_map(select_rows, row_ranges, "diversity") if len(strengths) > 1 else map(select_rows, row_ranges)
        )
        empty = np.zeros((0, LENGTH), dtype=np.int64)
        return {strength: np.concatenate([empty, *(part[strength] for part in parts)]) for strength in strengths}

    def _select_request(
        self, items: Ints, scores: NDArray[np.floating], per_artist: int, strengths: Sequence[float]
    ) -> dict[float, Ints]:
        """Selected positions of one request by diversity strength, as `serving/pipeline/select.py` selects them."""
        artists = self.artist_of_track_V[items]
        similarity = self.facets.similarity(items) if self.facets is not None and any(strengths) else None

        def select(strength: float) -> Ints:
            if strength == 0 or similarity is None:
                return cap_tracks_per_artist(artists, per_artist)[:LENGTH]
            return np.array(rerank_mmr(scores, similarity, artists, LENGTH, per_artist, strength), dtype=np.int64)

        return {strength: select(strength) for strength in strengths}

    def choose_weight(self) -> tuple[float, dict[float, dict[str, float]]]:
        """Ranker weight of BLEND_WEIGHT_GRID with the best recall@30 + NDCG@10 (ties: the smallest), and all metrics."""
        table = {weight: self._metric_values(self.select_items(weight)) for weight in blend.BLEND_WEIGHT_GRID}
        return max(table, key=lambda weight: (round(sum(table[weight].values()), 6), -weight)), table

    def measure_artist_caps(self, weight: float) -> dict[int, dict[str, float]]:
        """Metrics of the served order by cap of ARTIST_CAPS."""
        return {cap: self._metric_values(self.select_items(weight, cap)) for cap in ARTIST_CAPS}

    def choose_diversity(self, weight: float) -> tuple[float, dict[float, dict[str, Any]]]:
        """Largest diversity strength up to which no metric drops significantly or by more than MAX_RELATIVE_LOSS.

        Returns:
            The strength (0 if no facets are known), and by strength: METRICS, the paired change of each [value, low,
            high] over users, and the intra-list diversity of facets.
        """
        table: dict[float, dict[str, Any]] = {}
        chosen, is_acceptable = 0.0, True
        by_strength = self.select_by_diversity(
            weight, DIVERSITY_STRENGTHS if self.facets is not None else DIVERSITY_STRENGTHS[:1]
        )
        for strength, items_CL in by_strength.items():
            metrics = recall_metrics.measure(items_CL, self.cases, METRICS)
            if strength == 0:
                baseline = metrics
            change = {name: (metrics[name]["all"] - baseline[name]["all"]).interval() for name in METRICS}
            is_acceptable = is_acceptable and not any(
                high < 0 or value < -MAX_RELATIVE_LOSS * baseline[name]["all"].value
                for name, (value, _, high) in change.items()
            )
            chosen = strength if is_acceptable else chosen
            diversity = self.facets.intra_list_diversity(items_CL) if self.facets is not None else np.array([np.nan])
            table[strength] = {name: metrics[name]["all"].value for name in METRICS}
            table[strength] |= {f"{name}_change": interval for name, interval in change.items()}
            table[strength]["diversity"] = nanmean_or_none(diversity)
        return chosen if table[0.0]["diversity"] is not None else 0.0, table

    def _metric_values(self, items_CL: Ints) -> dict[str, float]:
        metrics = recall_metrics.measure(items_CL, self.cases, METRICS)
        return {name: parts["all"].value for name, parts in metrics.items()}


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
    """One row per request for the release gate: user_id, request_at (µs), a hash of its targets, METRICS of all
    targets.
    """
    metrics = recall_metrics.measure_by_case(items_CK, cases, METRICS)
    targets = cases.items["targets"]
    hashes = [
        hashlib.blake2b("\n".join(sorted(track_ids_V[targets[case]].tolist())).encode(), digest_size=8).hexdigest()
        for case in range(len(cases))
    ]
    columns = {"user_id": cases.user_ids.tolist(), "request_at": cases.request_at_C, "targets": hashes}
    return pl.DataFrame(columns | {name: metrics[name]["all"] for name in METRICS})


def _predict_tasks(held_out: HeldOutModels, ranker: FittedRanker, cases: RecallCases, items_CK: Ints) -> dict[str, Any]:
    """Probability of every candidate [C, K] by head of the ranker."""
    scenes = case_scenes(cases)
    users = held_out.offline.load_user_batch(
        ranker.feature_service, cases.user_ids.tolist(), cases.request_at_C, scenes
    )

    def predict_batch(start: int) -> dict[str, NDArray[np.float32]]:
        rows = np.arange(start, min(start + CASE_BATCH_SIZE, len(cases)))
        return ranker.score(users.take(rows.tolist()), items_CK[rows])

    parts = list(parallel_map(predict_batch, range(0, len(cases), CASE_BATCH_SIZE), "rank slates"))
    return {task: np.concatenate([part[task] for part in parts]) for task in (parts[0] if parts else ())}
