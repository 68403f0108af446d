"""The whole request path on held-out requests: fused candidates ▸ what may be shown ▸ ranker ▸ blend ▸ the first 30 with
at most `PER_ARTIST` of an artist.

The functions of fusion and blend are those that the service calls. `served` is the blended order, `fused` the same
path without the ranker, `ranker` the ranker's order of the same candidates; memories show their own first 30. To stay
in time the slate takes a sample of each user's requests, drawn by a hash of user and time: the same requests stay in
it when the window moves on, so that releases can be compared on common ones. Legend: C cases, K candidates. Knows
nothing about how models were trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.recall_cases import RecallCases
from training.data.track_facets import TrackFacets
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
from training.slate.fusion import MAX_RANKED_CANDIDATES, Fusion

LENGTH = 30
METRICS = ("recall_at_30", "ndcg_at_10")
CASE_BATCH_SIZE = 16
ARTIST_CAPS = (2, 3, 5, 7, 10, 15, LENGTH)
MAX_RELATIVE_LOSS = 0.01
DIVERSITY_STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """C requests with K candidates in fused order (0 = none), their fused scores and what the ranker's heads say of each as
    one score; `said` is what each head says of them.
    """

    cases: RecallCases
    items_CK: Ints
    fused_CK: NDArray[np.floating]
    ranker_CK: NDArray[np.floating]
    artist_of_track_V: Ints
    facets: TrackFacets | None = None
    task_probabilities: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        held_out: HeldOutModels,
        cases: RecallCases,
        found: Mapping[str, Candidates],
        fusion: Fusion,
        ranker: FittedRanker | None,
        heads: TaskWeights,
        servable: ServingFilter,
    ) -> Slate:
        """The request path up to the ranker's answer, its heads made one score; without a ranker that is 0."""
        fused = fusion.fuse(found, held_out.read_user_history(cases), MAX_RANKED_CANDIDATES, case_scenes(cases))
        items, scores = servable.filter_candidates(fused.items_BK, cases, fused.scores_BK)
        said = {} if ranker is None else _predict_tasks(held_out, ranker, cases, items)
        artist_V, facets = held_out.data.vocabulary.artist_of_track_V, servable.catalog.facets
        nothing_CK = np.zeros(items.shape, dtype=np.float32)
        slate = cls(cases, items, scores, nothing_CK, artist_V, facets, said)
        return slate.with_task_weights(heads) if ranker is not None else slate

    def with_task_weights(self, heads: TaskWeights) -> Slate:
        """The same with one score made of what was said by other weights."""
        scene_C = np.array(case_scenes(self.cases), dtype=object)
        score_CK = np.zeros(self.items_CK.shape)
        for scene in np.unique(scene_C):
            rows = np.flatnonzero(scene_C == scene)
            score_CK[rows] = heads.score({task: one[rows] for task, one in self.task_probabilities.items()}, scene)
        return replace(self, ranker_CK=score_CK)

    def select_items(self, weight: float, per_artist: int = MAX_TRACKS_PER_ARTIST, diversity: float = 0.0) -> Ints:
        """The first LENGTH of every request with the ranker's share `weight`, at most `per_artist` of one artist, tracks
        that are alike apart from each other by `diversity`.
        """
        return self.select_by_diversity(weight, (diversity,), per_artist)[diversity]

    def select_by_diversity(
        self, weight: float, strengths: Sequence[float], per_artist: int = MAX_TRACKS_PER_ARTIST
    ) -> dict[float, Ints]:
        """`shown` for each of several diversities; how alike a request's tracks are is asked once."""
        scores = blend.blend_scores(self.fused_CK, self.ranker_CK, weight)
        best = blend.argsort_descending(np.where(self.items_CK > 0, scores, -np.inf))
        items, scores = np.take_along_axis(self.items_CK, best, axis=1), np.take_along_axis(scores, best, axis=1)

        def of(rows: range) -> dict[float, Ints]:
            shown = {strength: np.zeros((len(rows), LENGTH), dtype=np.int64) for strength in strengths}
            for number, row in enumerate(rows):
                some = items[row, items[row] > 0]
                selected = self._select_request(some, scores[row, : len(some)], per_artist, strengths)
                for strength, places in selected.items():
                    shown[strength][number, : len(places)] = some[places]
            return shown

        pieces = [
            range(start, min(start + CASE_BATCH_SIZE, len(items))) for start in range(0, len(items), CASE_BATCH_SIZE)
        ]
        # Only what is taken one by one is worth other processes.
        parts = list(parallel_map(of, pieces, "slates apart") if len(strengths) > 1 else map(of, pieces))
        none = np.zeros((0, LENGTH), dtype=np.int64)
        return {strength: np.concatenate([none, *(part[strength] for part in parts)]) for strength in strengths}

    def _select_request(
        self, items: Ints, scores: NDArray[np.floating], per_artist: int, strengths: Sequence[float]
    ) -> dict[float, Ints]:
        """As `serving/pipeline/select.py` does it, by each diversity."""
        artists = self.artist_of_track_V[items]
        alike = self.facets.similarity(items) if self.facets is not None and any(strengths) else None

        def by(strength: float) -> Ints:
            if strength == 0 or alike is None:
                return cap_tracks_per_artist(artists, per_artist)[:LENGTH]
            return np.array(rerank_mmr(scores, alike, artists, LENGTH, per_artist, strength), dtype=np.int64)

        return {strength: by(strength) for strength in strengths}

    def choose_weight(self) -> tuple[float, dict[float, dict[str, float]]]:
        """The weight of GRID with the best recall@30 + NDCG@10, the smaller of equals, and the figures of all of
        them.
        """
        table = {weight: self._metric_values(self.select_items(weight)) for weight in blend.BLEND_WEIGHT_GRID}
        return max(table, key=lambda weight: (round(sum(table[weight].values()), 6), -weight)), table

    def measure_artist_caps(self, weight: float) -> dict[int, dict[str, float]]:
        """The figures of the served order under every cap of CAPS: what a tighter one costs. LENGTH is no cap."""
        return {most: self._metric_values(self.select_items(weight, most)) for most in ARTIST_CAPS}

    def choose_diversity(self, weight: float) -> tuple[float, dict[float, dict[str, Any]]]:
        """The largest of STRENGTHS before the first that one of METRICS pays for: by more than chance explains, or by more
        than PRICE of it. And the figures of all: METRICS, the paired change of each, [value, low, high] over users, and the
        intra-list diversity of facets. Where no facet is known there is nothing to choose.
        """
        table: dict[float, dict[str, Any]] = {}
        chosen, is_free = 0.0, True
        by_strength = self.select_by_diversity(
            weight, DIVERSITY_STRENGTHS if self.facets is not None else DIVERSITY_STRENGTHS[:1]
        )
        for strength, shown in by_strength.items():
            measured = recall_metrics.measure(shown, self.cases, METRICS)
            if strength == 0:
                without = measured
            change = {name: (measured[name]["all"] - without[name]["all"]).interval() for name in METRICS}
            is_free = is_free and not any(
                high < 0 or value < -MAX_RELATIVE_LOSS * without[name]["all"].value
                for name, (value, _, high) in change.items()
            )
            chosen = strength if is_free else chosen
            diversity = self.facets.intra_list_diversity(shown) if self.facets is not None else np.array([np.nan])
            table[strength] = {name: measured[name]["all"].value for name in METRICS}
            table[strength] |= {f"{name}_change": interval for name, interval in change.items()}
            table[strength]["diversity"] = nanmean_or_none(diversity)
        return chosen if table[0.0]["diversity"] is not None else 0.0, table

    def _metric_values(self, shown_CL: Ints) -> dict[str, float]:
        measured = recall_metrics.measure(shown_CL, self.cases, METRICS)
        return {name: parts["all"].value for name, parts in measured.items()}


def nanmean_or_none(values: NDArray[np.float64]) -> float | None:
    """The mean of those that are not NaN; None of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def sample_rows(cases: RecallCases, per_user: int) -> Ints:
    """Rows of at most `per_user` cases of each user, those with the smallest hash of user and time, in the original
    order.
    """
    names = [f"{user}-{time}" for user, time in zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True)]
    draw = np.array(
        [int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") for name in names],
        dtype=np.uint64,
    )
    order = np.lexsort((draw, cases.user_C))
    users = cases.user_C[order]
    place = np.arange(len(order)) - np.searchsorted(users, users)
    return np.sort(order[place < per_user])


def measure_by_request(items_CK: Ints, cases: RecallCases, track_ids_V: NDArray[np.object_]) -> pl.DataFrame:
    """One row a request: user_id, request_at (µs), a hash of its targets, METRICS over all targets. What the gate
    pairs.
    """
    measured = recall_metrics.measure_by_case(items_CK, cases, METRICS)
    targets = cases.items["targets"]
    hashes = [
        hashlib.blake2b("\n".join(sorted(track_ids_V[targets[case]].tolist())).encode(), digest_size=8).hexdigest()
        for case in range(len(cases))
    ]
    columns = {"user_id": cases.user_ids.tolist(), "request_at": cases.request_at_C, "targets": hashes}
    return pl.DataFrame(columns | {name: measured[name]["all"] for name in METRICS})


def _predict_tasks(held_out: HeldOutModels, ranker: FittedRanker, cases: RecallCases, items_CK: Ints) -> dict[str, Any]:
    """What each head of the ranker says of every candidate, [C, K]."""
    scenes = case_scenes(cases)
    users = held_out.offline.load_user_batch(
        ranker.feature_service, cases.user_ids.tolist(), cases.request_at_C, scenes
    )

    def of(start: int) -> dict[str, NDArray[np.float32]]:
        rows = np.arange(start, min(start + CASE_BATCH_SIZE, len(cases)))
        return ranker.score(users.take(rows.tolist()), items_CK[rows])

    parts = list(parallel_map(of, range(0, len(cases), CASE_BATCH_SIZE), "rank slates"))
    return {task: np.concatenate([part[task] for part in parts]) for task in (parts[0] if parts else ())}
