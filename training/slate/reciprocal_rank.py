"""Weighted reciprocal rank fusion, with weights tuned on sessions.

Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR
2009). Differences: each channel has a weight, and ranks are counted separately among repeats and among discoveries.

Legend: B requests, K candidates, H channels, M candidates of all requests, X candidates of one request, T targets
found, C cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_cases import mean_over_users
from training.data.unique_keys import unique_inverse, unique_values
from training.recall.channel import REPEAT_CHANNELS, Candidates

RANK_CONSTANT_GRID = (5.0, 20.0, 60.0)
WEIGHT_GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
MAX_ROUNDS = 3
ZERO_WEIGHT_EPSILON = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def add_repeats(history: Ragged, candidates: Mapping[str, Candidates]) -> Ragged:
    """Items in the user's history of each request, with those that REPEAT_CHANNELS propose.

    A history view has a maximum length, and these channels know older plays.
    """
    lists = [candidates[name].items_BK for name in REPEAT_CHANNELS if name in candidates]
    size = np.int64(max([history.items.max(initial=0), *(items_BK.max(initial=0) for items_BK in lists)]) + 1)
    keys = [history.case_per_item * size + history.items]
    for items_BK in lists:
        row, column = np.nonzero(items_BK)
        keys.append(row * size + items_BK[row, column])
    row, item = np.divmod(unique_values(np.concatenate(keys)), size)
    return Ragged.of(item, row, len(history.offset_C1) - 1)


@dataclass(frozen=True)
class CandidatePool:
    """The M distinct candidates of all requests, sorted by request, then item."""

    request_count: int  # B
    row_M: Ints  # request of each candidate
    item_M: Ints
    is_repeat_M: NDArray[np.bool_]  # whether the item is in the user's history
    rank_MH: NDArray[np.int32]  # rank (from 0) among the channel's repeats or discoveries; -1: not found by the channel
    channels: tuple[str, ...]

    @classmethod
    def of(cls, candidates: Mapping[str, Candidates], history: Ragged) -> CandidatePool:
        """From the candidates of all channels, and the items in the user's history of each request."""
        channels = tuple(sorted(candidates))
        items = np.concatenate([candidates[name].items_BK for name in channels], axis=1)
        size = np.int64(max(items.max(initial=0), history.items.max(initial=0)) + 1)
        row, column = np.nonzero(items)
        key_M, number = unique_inverse(row * size + items[row, column])
        is_repeat_M = np.zeros(len(key_M), dtype=bool)
        is_repeat_M[_positions_of(key_M, history.case_per_item * size + history.items)] = True
        rank_MH = np.full((len(key_M), len(channels)), -1, dtype=np.int32)
        width_H = np.array([candidates[name].items_BK.shape[1] for name in channels])
        channel_J, begin_J = (
            np.repeat(np.arange(len(channels)), width_H),
            np.repeat(width_H.cumsum() - width_H, width_H),
        )
        is_repeat_BJ = np.zeros(items.shape, dtype=bool)
        is_repeat_BJ[row, column] = is_repeat_M[number]
        for is_kind_BJ in (is_repeat_BJ, (items != 0) & ~is_repeat_BJ):
            before_BJ1 = np.zeros((len(items), items.shape[1] + 1), dtype=np.int32)
            is_kind_BJ.cumsum(1, out=before_BJ1[:, 1:])
            is_kind = is_kind_BJ[row, column]
            kind_row, kind_column = row[is_kind], column[is_kind]
            rank = before_BJ1[kind_row, kind_column] - before_BJ1[kind_row, begin_J[kind_column]]
            rank_MH[number[is_kind], channel_J[kind_column]] = rank
        row_M, item_M = np.divmod(key_M, size)
        return cls(len(items), row_M, item_M, is_repeat_M, rank_MH, channels)

    def filter_by_repeat(self, is_repeat: bool) -> CandidatePool:
        """Only repeats or only discoveries, of the same requests."""
        return self._select(self.is_repeat_M == is_repeat, self.request_count, self.row_M)

    def take(self, rows: Ints) -> CandidatePool:
        """The candidates of some requests, renumbered in the order of `rows`, which is ascending."""
        number_B = np.full(self.request_count, -1, dtype=np.int64)
        number_B[rows] = np.arange(len(rows))
        row_M = number_B[self.row_M]
        return self._select(row_M >= 0, len(rows), row_M)

    def _select(self, is_selected_M: NDArray[np.bool_], requests: int, row_M: Ints) -> CandidatePool:
        return CandidatePool(
            requests,
            row_M[is_selected_M],
            self.item_M[is_selected_M],
            self.is_repeat_M[is_selected_M],
            self.rank_MH[is_selected_M],
            self.channels,
        )

    def top_k(self, score_M: Floats, k: int) -> Ints:
        """Indices (from 1) of each request's `k` best candidates [B, k], ties by smaller item; 0: padding."""
        order = np.lexsort((-score_M, self.row_M))
        row = self.row_M[order]
        position = np.arange(len(row)) - self.offset_B1[row]
        best_BK = np.zeros((self.request_count, k), dtype=np.int64)
        best_BK[row[position < k], position[position < k]] = order[position < k] + 1
        return best_BK

    @cached_property
    def offset_B1(self) -> Ints:
        """Index of each request's first candidate, and M at the end."""
        return np.searchsorted(self.row_M, np.arange(self.request_count + 1))


@dataclass(frozen=True)
class ReciprocalRank:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found a candidate.

    Candidates found only by channels without a weight follow all others. Without any weights, all channels weigh the
    same.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    constant: float = 60.0

    def scores(self, pool: CandidatePool) -> Floats:
        """Positive scores of all candidates, [M]."""
        return self._weighted_sum(_reciprocal_ranks(pool.rank_MH.T, self.constant), pool.channels)

    def _weighted_sum(self, gains: Floats, channels: tuple[str, ...]) -> Floats:
        """Weighted sum over channels of gains [H, ...].

        Channels are added one by one, since a matrix product may round differently for one request than for many.
        """
        total: Floats = np.zeros(gains.shape[1:])
        for name, gain in zip(channels, gains, strict=True):
            total += max(self.weights.get(name, 0.0) if self.weights else 1.0, ZERO_WEIGHT_EPSILON) * gain
        return total

    @classmethod
    def fit(cls, pool: CandidatePool, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]) -> ReciprocalRank:
        """Weights and constant with the highest recall of `targets`, summed over `cutoffs`.

        Coordinate ascent, started from equal weights of all channels or from the best single channel. Each constant is
        tuned separately, since good weights for one constant are a bad start for another.
        """
        fusion_targets, channels = FusionTargets.of(pool, targets, user_C), pool.channels
        optima = [_coordinate_ascent(fusion_targets, channels, constant, cutoffs) for constant in RANK_CONSTANT_GRID]
        return max(optima, key=itemgetter(0))[1]

    def recall(self, pool: CandidatePool, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]) -> float:
        """The objective of `fit`."""
        fusion_targets = FusionTargets.of(pool, targets, user_C)
        return sum(
            fusion_targets.recall(
                self._weighted_sum(_reciprocal_ranks(fusion_targets.rank_HBX, self.constant), pool.channels), cutoffs
            )
        )


def _positions_of(key_M: Ints, query_N: Ints) -> Ints:
    """Positions in the ascending keys `key_M` of those query keys that are among them."""
    if not len(key_M):
        return key_M
    position_N = np.minimum(np.searchsorted(key_M, query_N), len(key_M) - 1)
    found: Ints = position_N[key_M[position_N] == query_N]
    return found


def _coordinate_ascent(
    targets: FusionTargets, channels: tuple[str, ...], constant: float, cutoffs: tuple[int, ...]
) -> tuple[float, ReciprocalRank]:
    """The best recall found and its weights."""
    gains = _reciprocal_ranks(targets.rank_HBX, constant)
    evaluated: dict[tuple[float, ...], tuple[float, ReciprocalRank]] = {}

    def evaluate(weights: dict[str, float]) -> tuple[float, ReciprocalRank]:
        # Rounds repeat many weights of earlier rounds.
        key = tuple(weights.values())
        if key not in evaluated:
            fusion = ReciprocalRank(weights, constant)
            evaluated[key] = round(sum(targets.recall(fusion._weighted_sum(gains, channels), cutoffs)), 9), fusion
        return evaluated[key]

    starts = (channels, *((name,) for name in channels))
    best = max((evaluate({name: float(name in start) for name in channels}) for start in starts), key=itemgetter(0))
    for _ in range(MAX_ROUNDS):
        before = best
        for name in channels:
            others = (weight for weight in WEIGHT_GRID if weight != best[1].weights[name])
            best = max(best, *(evaluate({**best[1].weights, name: weight}) for weight in others), key=itemgetter(0))
        if best is before:
            break
    return best


def _reciprocal_ranks(ranks: NDArray[np.int32], constant: float) -> Floats:
    """Unweighted gain of each rank; 0 for candidates that the channel did not find."""
    return np.where(ranks >= 0, 1 / (constant + np.maximum(ranks, 0) + 1), 0.0)


@dataclass(frozen=True)
class FusionTargets:
    """Requests with at least one target among their candidates, padded to rectangles for repeated evaluation."""

    rank_HBX: NDArray[np.int32]  # rank of candidate x of request b in each channel; -1: not found, or padding
    row_T: Ints  # request of each target found
    column_T: Ints  # candidate of each target found
    case_B: Ints  # case of each request
    count_C: Ints  # number of targets of each case
    user_C: Ints  # user of each case

    @classmethod
    def of(cls, pool: CandidatePool, targets: Ragged, user_C: Ints) -> FusionTargets:
        """From the candidates, targets and users of all requests."""
        size = np.int64(max(pool.item_M.max(initial=0), targets.items.max(initial=0)) + 1)
        target_keys = targets.case_per_item * size + targets.items
        is_target_M = np.isin(pool.row_M * size + pool.item_M, target_keys)
        case_B = np.unique(pool.row_M[is_target_M])
        row_C = np.full(pool.request_count, -1, dtype=np.int64)
        row_C[case_B] = np.arange(len(case_B))
        number = np.flatnonzero(row_C[pool.row_M] >= 0)
        row, column = row_C[pool.row_M[number]], number - pool.offset_B1[pool.row_M[number]]
        width = int(column.max(initial=-1)) + 1
        rank_HBX = np.full((len(pool.channels), len(case_B), width), -1, dtype=np.int32)
        rank_HBX[:, row, column] = pool.rank_MH[number].T
        target = is_target_M[number]
        return cls(rank_HBX, row[target], column[target], case_B, targets.count_C, user_C)

    def recall(self, score_BX: Floats, cutoffs: tuple[int, ...]) -> list[float]:
        """Recall at each cutoff of the candidates by score (0: padding), averaged like `recall_table`; ties by smaller x.

        Avoids sorting: a target is in the top k if it scores above the k-th best score; ties with it are counted.
        """
        width = score_BX.shape[1]
        positions = sorted({width - k for k in cutoffs if k < width})
        parted_BX = np.partition(score_BX, positions, axis=1) if positions else score_BX
        score_T = score_BX[self.row_T, self.column_T]
        recalls = []
        for k in cutoffs:
            is_in_T = np.ones(len(score_T), dtype=bool)
            if k < width:
                last_T = parted_BX[self.row_T, width - k]
                is_in_T = score_T > last_T
                for target in np.flatnonzero(score_T == last_T):
                    score_X, column = score_BX[self.row_T[target]], self.column_T[target]
                    before = (score_X > score_T[target]).sum() + (score_X[:column] == score_T[target]).sum()
                    is_in_T[target] = before < k
            hit_C = np.bincount(self.case_B[self.row_T[is_in_T]], minlength=len(self.count_C))
            share_C = np.divide(hit_C, self.count_C, out=np.full(len(hit_C), np.nan), where=self.count_C > 0)
            recalls.append(float(np.nan_to_num(mean_over_users(share_C, self.user_C))))
        return recalls
