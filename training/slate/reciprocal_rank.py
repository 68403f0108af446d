"""One list from many: weighted reciprocal-rank fusion, with weights fitted on sessions.

Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR
2009); here each channel has a weight, and its rank is counted within a kind: among what the user has heard, or among
the rest. Legend: B requests, K candidates, H channels, M candidates of all requests, X of one request, T targets found.
Knows nothing about how a channel finds its candidates, nor about the other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_at_k import mean_over_users
from training.recall.channel import Candidates

RANK_CONSTANT_GRID = (5.0, 20.0, 60.0)
WEIGHT_GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
MAX_ROUNDS = 3
ZERO_WEIGHT_EPSILON = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CandidatePool:
    """The M distinct candidates of B requests, by request, then item: whether the user has heard each, and its rank
    (int32, from 0) in each channel among that channel's candidates of the same kind, -1 where it did not find it.
    """

    request_count: int
    row_M: Ints
    item_M: Ints
    is_repeat_M: NDArray[np.bool_]
    rank_MH: NDArray[np.int32]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, candidates: Mapping[str, Candidates], heard: Ragged) -> CandidatePool:
        """Of what the channels gave for the same requests; `heard[b]` is what the user of request b has heard."""
        channels = tuple(sorted(candidates))
        items = np.concatenate([candidates[name].items_BK for name in channels], axis=1)
        top = np.int64(max(items.max(initial=0), heard.items.max(initial=0)) + 1)
        row, column = np.nonzero(items)
        key_M, number = np.unique(row * top + items[row, column], return_inverse=True)
        is_heard_M = np.isin(key_M, heard.case_per_item * top + heard.items, assume_unique=True)
        number_BJ = np.full(items.shape, -1, dtype=np.int64)
        number_BJ[row, column] = number
        rank_MH = np.full((len(key_M), len(channels)), -1, dtype=np.int32)
        is_heard_N = np.append(is_heard_M, False)  # what is none, -1, where nobody found anything too
        ends = np.cumsum([candidates[name].items_BK.shape[1] for name in channels])
        for channel, number_BK in enumerate(np.split(number_BJ, ends[:-1], axis=1)):
            for is_heard in (True, False):
                mine_BK = (number_BK >= 0) & (is_heard_N[number_BK] == is_heard)
                rank_MH[number_BK[mine_BK], channel] = (mine_BK.cumsum(1) - 1)[mine_BK]
        row_M, item_M = np.divmod(key_M, top)
        return cls(len(items), row_M, item_M, is_heard_M, rank_MH, channels)

    def filter_by_repeat(self, is_heard: bool) -> CandidatePool:
        """The candidates of one kind, of the same requests."""
        return self._select(self.is_repeat_M == is_heard, self.request_count, self.row_M)

    def take(self, rows: Ints) -> CandidatePool:
        """The candidates of some of the requests, which are then numbered in the order of `rows`, ascending."""
        number_B = np.full(self.request_count, -1, dtype=np.int64)
        number_B[rows] = np.arange(len(rows))
        row_M = number_B[self.row_M]
        return self._select(row_M >= 0, len(rows), row_M)

    def _select(self, some_M: NDArray[np.bool_], requests: int, row_M: Ints) -> CandidatePool:
        return CandidatePool(
            requests, row_M[some_M], self.item_M[some_M], self.is_repeat_M[some_M], self.rank_MH[some_M], self.channels
        )

    def top_k(self, score_M: Floats, k: int) -> Ints:
        """The numbers (from 1) of each request's `k` best candidates, [B, k], ties by smaller item; 0 is none."""
        order = np.lexsort((-score_M, self.row_M))
        row = self.row_M[order]
        place = np.arange(len(row)) - self.offset_B1[row]
        best_BK = np.zeros((self.request_count, k), dtype=np.int64)
        best_BK[row[place < k], place[place < k]] = order[place < k] + 1
        return best_BK

    @cached_property
    def offset_B1(self) -> Ints:
        """Where each request's candidates begin."""
        return np.searchsorted(self.row_M, np.arange(self.request_count + 1))


@dataclass(frozen=True)
class ReciprocalRank:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found a candidate.

    A channel that has no weight fills up: what it alone found follows everything else. Without any weights all channels
    have the same.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    constant: float = 60.0

    def scores(self, found: CandidatePool) -> Floats:
        """Positive, [M]."""
        return self._weighted_sum(_reciprocal_ranks(found.rank_MH.T, self.constant), found.channels)

    def _weighted_sum(self, gains: Floats, channels: tuple[str, ...]) -> Floats:
        """The sum over channels, [H, ...], one after the other: a product of matrices may add up otherwise for one
        request than for many.
        """
        total: Floats = np.zeros(gains.shape[1:])
        for name, gain in zip(channels, gains, strict=True):
            total += max(self.weights.get(name, 0.0) if self.weights else 1.0, ZERO_WEIGHT_EPSILON) * gain
        return total

    @classmethod
    def fit(cls, found: CandidatePool, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]) -> ReciprocalRank:
        """The weights and the constant with the greatest recall of `targets`, summed over `cutoffs`.

        For each constant by itself, as weights that are good with one lead nowhere with another: from all channels alike
        or the best one alone, one weight at a time, some rounds.
        """
        wanted, channels = FusionTargets.of(found, targets, user_C), found.channels
        climbed = [_coordinate_ascent(wanted, channels, constant, cutoffs) for constant in RANK_CONSTANT_GRID]
        return max(climbed, key=itemgetter(0))[1]

    def recall(self, found: CandidatePool, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]) -> float:
        """What `fit` maximises."""
        wanted = FusionTargets.of(found, targets, user_C)
        return sum(
            wanted.recall(
                self._weighted_sum(_reciprocal_ranks(wanted.rank_HBX, self.constant), found.channels), cutoffs
            )
        )


def _coordinate_ascent(
    wanted: FusionTargets, channels: tuple[str, ...], constant: float, cutoffs: tuple[int, ...]
) -> tuple[float, ReciprocalRank]:
    """The recall reached and the weights that reach it."""
    gains = _reciprocal_ranks(wanted.rank_HBX, constant)
    known: dict[tuple[float, ...], tuple[float, ReciprocalRank]] = {}

    def tried(weights: dict[str, float]) -> tuple[float, ReciprocalRank]:
        # A round comes by much of what the one before it tried
        key = tuple(weights.values())
        if key not in known:
            fusion = ReciprocalRank(weights, constant)
            known[key] = round(sum(wanted.recall(fusion._weighted_sum(gains, channels), cutoffs)), 9), fusion
        return known[key]

    starts = (channels, *((name,) for name in channels))
    best = max((tried({name: float(name in some) for name in channels}) for some in starts), key=itemgetter(0))
    for _ in range(MAX_ROUNDS):
        before = best
        for name in channels:
            others = (weight for weight in WEIGHT_GRID if weight != best[1].weights[name])
            best = max(best, *(tried({**best[1].weights, name: weight}) for weight in others), key=itemgetter(0))
        if best is before:
            break
    return best


def _reciprocal_ranks(ranks: NDArray[np.int32], constant: float) -> Floats:
    """What a channel says for a candidate before it is weighed, by its rank there; 0 for one that it did not find."""
    return np.where(ranks >= 0, 1 / (constant + np.maximum(ranks, 0) + 1), 0.0)


@dataclass(frozen=True)
class FusionTargets:
    """The requests of a fit that found anything they were to find, as rectangles: candidate x of request b has the ranks
    `rank_HBX[:, b, x]` (beyond its candidates -1), and target t is candidate `column_T[t]` of request `row_T[t]`.
    """

    rank_HBX: NDArray[np.int32]
    row_T: Ints
    column_T: Ints
    case_B: Ints
    count_C: Ints
    user_C: Ints

    @classmethod
    def of(cls, found: CandidatePool, targets: Ragged, user_C: Ints) -> FusionTargets:
        """What is looked at again and again, made once; `targets` and `user_C` are of all the requests in `found`."""
        top = np.int64(max(found.item_M.max(initial=0), targets.items.max(initial=0)) + 1)
        wanted = targets.case_per_item * top + targets.items
        is_target_M = np.isin(found.row_M * top + found.item_M, wanted)
        case_B = np.unique(found.row_M[is_target_M])
        row_C = np.full(found.request_count, -1, dtype=np.int64)
        row_C[case_B] = np.arange(len(case_B))
        number = np.flatnonzero(row_C[found.row_M] >= 0)
        row, column = row_C[found.row_M[number]], number - found.offset_B1[found.row_M[number]]
        width = int(column.max(initial=-1)) + 1
        rank_HBX = np.full((len(found.channels), len(case_B), width), -1, dtype=np.int32)
        rank_HBX[:, row, column] = found.rank_MH[number].T
        target = is_target_M[number]
        return cls(rank_HBX, row[target], column[target], case_B, targets.count_C, user_C)

    def recall(self, score_BX: Floats, cutoffs: tuple[int, ...]) -> list[float]:
        """Recall at each cutoff of each request's candidates by score (0 where there is none), ties by smaller x; as
        `recall_table` has it.

        Nothing is sorted: a target is in if it is above the last score that is in, and those that equal it are counted.
        """
        width = score_BX.shape[1]
        places = sorted({width - k for k in cutoffs if k < width})
        parted_BX = np.partition(score_BX, places, axis=1) if places else score_BX
        score_T = score_BX[self.row_T, self.column_T]
        found = []
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
            found.append(float(np.nan_to_num(mean_over_users(share_C, self.user_C))))
        return found
