"""Slates of held-out requests: fused candidates, filters, ranker, blend, first LENGTH slots with a cap per artist.

Fusion, blend and selection are the functions that the service calls. `served` is the list that a user would get,
`ranker` the same with the order of the ranker alone, `fused` the candidates in fused order. All have the cap of the
daily scene, except `served_uncapped`; the artists of `served_unspaced` are not spaced, and reactions have no say in
`served_without_reactions`. Slates are computed for a sample of each user's requests, selected by a hash of
user and time: requests stay in the sample when the time window moves, so that releases can be compared on common ones.
Legend: C cases, K candidates, L slate length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.data.catalog import TrackFacets
from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases
from training.engine.parallel_map import parallel_map
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.serving_filter import ServingFilter
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.task_weights import TaskWeights
from training.recall.channel import Candidates
from training.slate import blend
from training.slate.artist_cap import ArtistCap
from training.slate.blend import Blend
from training.slate.candidate_lists import case_scenes
from training.slate.discovery_slots import discovery_slots, feasible_share, new_artist_slots
from training.slate.feedback import EVIDENCE, feedback_evidence
from training.slate.fusion import ANY_SCENE, DEFAULT_DISCOVERY_SHARE, Fusion, interleave_discoveries
from training.slate.mmr_selection import select_slots
from training.slate.scene_settings import MAX_RANKED_CANDIDATES, MIN_RANKED_DISCOVERY_SHARE, SCENES

LENGTH = 30  # tracks of a slate
METRICS = ("recall_at_30", "ndcg_at_10")
CASE_BATCH_SIZE = 16
FUSION_BATCH_SIZE = 256  # requests whose candidates are held before the cut
ARTIST_CAP = SCENES["daily"].artist_cap
UNSPACED = replace(ARTIST_CAP, is_spaced=False)
NO_ARTIST_CAP = ArtistCap(LENGTH, head_tracks=LENGTH)
ARTIST_CAPS = (2, 3, 4, 5, 7, 10, 15, LENGTH)  # LENGTH: known tracks have no cap
NEW_ARTIST_CAPS = (0, 1, 2, 3, 4)  # 0: new tracks are counted together with the others
MAX_RELATIVE_LOSS = 0.01  # of each metric, for more diversity
MAX_RECALL_LOSS, MAX_RELATIVE_RECALL_LOSS = 0.008, 0.03
"""Recall@30 that the list gives up for discoveries, on validation: the smaller of both."""
DISCOVERY_SHARES = (0.0, 0.04, 0.07, 0.1, 0.14, 0.17, 0.2, 0.24, 0.27, 0.3, 0.34, 0.37, 0.4, 0.44, 0.47, 0.5)
"""One discovery more in a slate with each value."""
LIST_RULES = (
    f"slots by share, at most {ARTIST_CAP.tracks} known and {ARTIST_CAP.new_tracks} new tracks per artist, "
    f"{ARTIST_CAP.head_tracks} at the head, artists spaced, two of three new tracks by new artists, reactions"
)
"""Rules of the lists; the gate compares releases with the same ones only. Change it with the rules."""
REACHABLE = "reachable_recall_at_30"
DIVERSITY_STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """C requests with K candidates each."""

    cases: RecallCases
    items_CK: Ints  # in fused order, padded with 0
    history: Ragged  # items that the user of each request had played; other candidates are discoveries
    ranker_CK: NDArray[np.floating]  # combined scores of the ranker's heads
    evidence_CKF: NDArray[np.floating]  # of the user's reactions, see `training.slate.feedback`
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
        share: float | None = None,
    ) -> Slate:
        """Run the request path up to the combined score of the ranker, which is 0 without a ranker.

        `share` is the share of discoveries that requests ask for; None if they do not.
        """
        history = held_out.read_user_history(cases, candidates)
        items = _select_ranked(fusion, candidates, history, cases, servable, share)
        probabilities = {} if ranker is None else predict_tasks(held_out, ranker, cases, items)
        artist_V, facets = held_out.data.vocabulary.artist_of_track_V, servable.catalog.facets
        zeros_CK = np.zeros(items.shape, dtype=np.float32)
        evidence = _evidence(held_out, servable, cases, items)
        slate = cls(cases, items, history, zeros_CK, evidence, artist_V, facets, probabilities)
        return slate.with_task_weights(heads) if ranker is not None else slate

    @cached_property
    def is_discovery_CK(self) -> Bools:
        """Whether the user had not played the item; True for padding."""
        is_discovery_CK: Bools = ~self.history.contains(self.items_CK)
        return is_discovery_CK

    def take(self, rows: Ints) -> Slate:
        """The requests of `rows`, in that order."""
        return replace(
            self,
            cases=self.cases.take(rows),
            items_CK=self.items_CK[rows],
            history=self.history.take(rows),
            ranker_CK=self.ranker_CK[rows],
            evidence_CKF=self.evidence_CKF[rows],
            task_probabilities={task: values[rows] for task, values in self.task_probabilities.items()},
        )

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

    def select_items(self, order: Blend, cap: ArtistCap = ARTIST_CAP) -> Ints:
        """Slates [C, L] of all requests.

        Args:
            order: Weights of the ranker, strength of diversity, and shares of discoveries.
            cap: Maximum number of tracks per artist.
        """
        return self.select_by_diversity(order, (order.diversity,), cap)[order.diversity]

    def select_fused(self, fusion: Fusion, cap: ArtistCap = ARTIST_CAP) -> Ints:
        """Slates [C, L] in fused order, with the shares of the fusion instead of slots."""
        slates = np.zeros((len(self.items_CK), LENGTH), dtype=np.int64)
        for row, scene in enumerate(case_scenes(self.cases)):
            items = self.items_CK[row]
            is_discovery = self.is_discovery_CK[row]
            repeats, discoveries = items[(items > 0) & ~is_discovery], items[(items > 0) & is_discovery]
            share = fusion.discovery_share(scene)
            merged = interleave_discoveries(repeats[None, :], discoveries[None, :], share, len(items))[0]
            shown = self._cap_artists(merged[merged > 0], np.isin(merged[merged > 0], discoveries), cap)
            slates[row, : len(shown)] = shown
        return slates

    def show_list(self, items_CK: Ints, servable: ServingFilter, order: Blend, cap: ArtistCap = ARTIST_CAP) -> Ints:
        """Slates [C, L] of other lists of the same requests: with the filters, slots and spacing of the served list."""
        filtered_CK, _ = servable.filter_candidates(items_CK, self.cases, np.zeros(items_CK.shape))
        shown = replace(self, items_CK=filtered_CK, facets=None)
        slates = np.zeros((len(items_CK), LENGTH), dtype=np.int64)
        for row, scene in enumerate(case_scenes(self.cases)):
            share = order.discovery_share(scene)
            share = DEFAULT_DISCOVERY_SHARE if share is None else share
            by_rank_K = 1.0 / np.arange(1, filtered_CK.shape[1] + 1)
            items = shown._select_request(row, by_rank_K, share, cap, (0.0,))[0.0]
            slates[row, : len(items)] = items
        return slates

    def _cap_artists(self, items: Ints, is_new: Bools, cap: ArtistCap) -> Ints:
        """The first LENGTH items of one request within the cap per artist."""
        return items[cap.first_tracks(self.artist_of_track_V[items], is_new)[:LENGTH]]

    def select_by_diversity(
        self, order: Blend, strengths: Sequence[float], cap: ArtistCap = ARTIST_CAP
    ) -> dict[float, Ints]:
        """Slates by diversity strength, as `select_items`, computing the similarities of each request once."""
        scores_CK = order.score(self.is_discovery_CK, self.ranker_CK)
        scores_CK = scores_CK * np.exp(order.feedback.log_factors(self.evidence_CKF))
        tuned = [order.discovery_share(scene) for scene in case_scenes(self.cases)]
        shares = [DEFAULT_DISCOVERY_SHARE if share is None else share for share in tuned]

        def select_rows(rows: range) -> dict[float, Ints]:
            slates = {strength: np.zeros((len(rows), LENGTH), dtype=np.int64) for strength in strengths}
            for number, row in enumerate(rows):
                selected = self._select_request(row, scores_CK[row], shares[row], cap, strengths)
                for strength, items in selected.items():
                    slates[strength][number, : len(items)] = items
            return slates

        row_ranges = [
            range(start, min(start + CASE_BATCH_SIZE, len(self.items_CK)))
            for start in range(0, len(self.items_CK), CASE_BATCH_SIZE)
        ]
        # Starting processes only pays off for MMR, which compares all candidates in each slot.
        parts = list(
            parallel_map(select_rows, row_ranges, "slates") if any(strengths) else map(select_rows, row_ranges)
        )
        empty = np.zeros((0, LENGTH), dtype=np.int64)
        return {strength: np.concatenate([empty, *(part[strength] for part in parts)]) for strength in strengths}

    def _select_request(
        self, row: int, scores_K: NDArray[np.floating], share: float, cap: ArtistCap, strengths: Sequence[float]
    ) -> dict[float, Ints]:
        """Items of one slate by diversity strength, as `serving/pipeline/stages/select.py` selects them."""
        count = int((self.items_CK[row] > 0).sum())
        best_first = blend.argsort_descending(scores_K[:count])
        items, is_discovery = self.items_CK[row, best_first], self.is_discovery_CK[row, best_first]
        similarity = self.facets.similarity(items) if self.facets is not None and any(strengths) else None
        slots = discovery_slots(feasible_share(share, is_discovery, LENGTH), LENGTH)
        artists, scores = self.artist_of_track_V[items], scores_K[best_first]
        is_new_artist = ~np.isin(artists, self.artist_of_track_V[self.history[row]])
        new_artists = is_new_artist, new_artist_slots(slots)
        places = {
            strength: select_slots(
                scores, is_discovery, artists, slots, cap, similarity, strength, new_artists=new_artists
            )
            for strength in strengths
        }
        return {strength: items[places_L[places_L >= 0]] for strength, places_L in places.items()}

    def choose_weight(self, order: Blend) -> tuple[float, dict[float, dict[str, float]]]:
        """Ranker weight of BLEND_WEIGHT_GRID with the best recall@30 + NDCG@10 (ties: the smallest), and all metrics."""
        table = {
            weight: self.metric_values(self.select_items(replace(order, weight=weight)))
            for weight in blend.BLEND_WEIGHT_GRID
        }
        return max(table, key=lambda weight: (slate_objective(table[weight]), -weight)), table

    def choose_discovery_weight(self, order: Blend) -> tuple[float, dict[float, dict[str, float]]]:
        """Ranker weight among discoveries, and all metrics.

        The one with the best recall@30 of reachable discoveries (ties: the smallest), if it is significantly better than
        0, the order of the channels that are good at discoveries.
        """
        slates = {
            weight: self.select_items(replace(order, discovery_weight=weight)) for weight in blend.BLEND_WEIGHT_GRID
        }
        table = {weight: self.metric_values(items_CL) for weight, items_CL in slates.items()}
        best = max(table, key=lambda weight: (round(table[weight][REACHABLE], 6), -weight))
        gain = self._reachable_recall(slates[best]) - self._reachable_recall(slates[0.0])
        return (best if gain.interval()[1] > 0 else 0.0), table

    def choose_discovery_share(self, order: Blend) -> tuple[float, dict[float, dict[str, float]]]:
        """Largest share of DISCOVERY_SHARES whose recall@30 is at most MAX_RECALL_LOSS below the best, and all metrics.

        The list leans to discovery as far as it costs hardly any recall. The share with the best recall is often 0,
        because repeats are more likely to be listened to.
        """
        table = {
            share: self.metric_values(self.select_items(replace(order, discovery_shares={ANY_SCENE: share})))
            for share in DISCOVERY_SHARES
        }
        best = max(row["recall_at_30"] for row in table.values())
        lowest = best - min(MAX_RECALL_LOSS, MAX_RELATIVE_RECALL_LOSS * best)
        acceptable = [share for share, row in table.items() if row["recall_at_30"] >= lowest]  # none without slates
        return max(acceptable, default=order.discovery_shares[ANY_SCENE]), table

    def measure_artist_caps(self, order: Blend) -> dict[int, dict[str, float]]:
        """Metrics of the served order by cap of ARTIST_CAPS, with the cap of new tracks of the daily list."""
        caps = {number: replace(ARTIST_CAP, tracks=number) for number in ARTIST_CAPS}
        return {number: self.metric_values(self.select_items(order, cap)) for number, cap in caps.items()}

    def measure_new_artist_caps(self, order: Blend) -> dict[int, dict[str, float]]:
        """Metrics of the served order by cap of NEW_ARTIST_CAPS."""
        caps = {number: replace(ARTIST_CAP, new_tracks=number or None) for number in NEW_ARTIST_CAPS}
        return {number: self.metric_values(self.select_items(order, cap)) for number, cap in caps.items()}

    def choose_diversity(self, order: Blend) -> tuple[float, dict[float, dict[str, Any]]]:
        """Largest diversity strength up to which no metric drops significantly or by more than MAX_RELATIVE_LOSS.

        Returns:
            The strength (0 if no facets are known), and by strength: METRICS, the paired change of each [value, low,
            high] over users, and the intra-list diversity of facets.
        """
        table: dict[float, dict[str, Any]] = {}
        chosen, is_acceptable = 0.0, True
        by_strength = self.select_by_diversity(
            order, DIVERSITY_STRENGTHS if self.facets is not None else DIVERSITY_STRENGTHS[:1]
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

    def metric_values(self, items_CL: Ints) -> dict[str, float]:
        """METRICS of all targets, and REACHABLE."""
        metrics = recall_metrics.measure(items_CL, self.cases, METRICS)
        values = {name: parts["all"].value for name, parts in metrics.items()}
        return values | {REACHABLE: float(np.nan_to_num(metrics["recall_at_30"]["reachable"].value))}

    def _reachable_recall(self, items_CL: Ints) -> Estimate:
        return recall_metrics.measure(items_CL, self.cases, METRICS[:1])[METRICS[0]]["reachable"]

    def describe_lists(self, items_CL: Ints) -> dict[str, Any]:
        """What slates consist of: `discovery_share` as mean, smallest and largest share of tracks that the user had not
        played; `tracks_per_artist` as median and largest number of tracks by the most frequent artist. NaN without a list.
        """
        if not len(items_CL):
            return {"discovery_share": [np.nan] * 3, "tracks_per_artist": [np.nan] * 2}
        shown_CL = items_CL > 0
        is_new_CL = shown_CL & ~self.history.contains(items_CL)
        share_C = is_new_CL.sum(1) / np.maximum(shown_CL.sum(1), 1)
        most_C = np.array([_most_frequent(self.artist_of_track_V[row[row > 0]]) for row in items_CL])
        return {
            "discovery_share": [float(share_C.mean()), float(share_C.min()), float(share_C.max())],
            "tracks_per_artist": [float(np.median(most_C)), int(most_C.max())],
        }


def slate_objective(metrics: Mapping[str, float]) -> float:
    """Sum of METRICS, by which the ranker's weight is chosen."""
    return round(sum(metrics[name] for name in METRICS), 6)


def _most_frequent(artists: Ints) -> int:
    """Number of tracks by the most frequent known artist."""
    known = artists[artists >= FIRST_CODE]
    return int(np.bincount(known, minlength=1).max())


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
    rules = pl.lit(LIST_RULES).alias("rules")
    return pl.DataFrame(columns | {name: metrics[name]["all"] for name in METRICS}).with_columns(rules)


def _select_ranked(
    fusion: Fusion,
    candidates: Mapping[str, Candidates],
    history: Ragged,
    cases: RecallCases,
    servable: ServingFilter,
    share: float | None,
) -> Ints:
    """Candidates [C, K] to rank, in fused order: those that pass the filters, at most as many as the scene ranks."""
    fusion = fusion.with_min_share(MIN_RANKED_DISCOVERY_SHARE)
    width = sum(one.items_BK.shape[1] for one in candidates.values())
    parts = []
    for start in range(0, max(len(cases), 1), FUSION_BATCH_SIZE):
        rows = np.arange(start, min(start + FUSION_BATCH_SIZE, len(cases)))
        part, part_candidates = cases.take(rows), {name: lists.take(rows) for name, lists in candidates.items()}
        fused = fusion.fuse(part_candidates, history.take(rows), width, case_scenes(part), share)
        items_CK, _ = servable.filter_candidates(fused.items_BK, part, fused.scores_BK)
        parts.append(items_CK[:, :MAX_RANKED_CANDIDATES])
    items_CK, scenes = np.concatenate(parts), case_scenes(cases)
    limits = [SCENES[scene].max_ranked_candidates if scene in SCENES else MAX_RANKED_CANDIDATES for scene in scenes]
    ranked_CK: Ints = np.where(np.arange(items_CK.shape[1]) < np.array(limits)[:, None], items_CK, 0)
    return ranked_CK


def _evidence(
    held_out: HeldOutModels, servable: ServingFilter, cases: RecallCases, items_CK: Ints
) -> NDArray[np.float32]:
    """Evidence of the users' reactions for every candidate, [C, K, F]."""

    def read_batch(start: int) -> NDArray[np.float32]:
        part = slice(start, start + CASE_BATCH_SIZE)
        users, times = cases.user_ids[part].tolist(), cases.request_at_C[part]
        return feedback_evidence(held_out.data, servable.catalog, users, times, items_CK[part]).astype(np.float32)

    parts = list(parallel_map(read_batch, range(0, len(cases), CASE_BATCH_SIZE), "reactions"))
    return np.concatenate(parts) if parts else np.zeros((*items_CK.shape, len(EVIDENCE)), dtype=np.float32)


def predict_tasks(held_out: HeldOutModels, ranker: FittedRanker, cases: RecallCases, items_CK: Ints) -> dict[str, Any]:
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
