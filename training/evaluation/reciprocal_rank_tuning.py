"""Weights of reciprocal rank fusion with the highest recall of past sessions."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Doubles, Ints
from recommender.catalog.arrays import Ragged
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.fusion import ReciprocalRank, reciprocal_ranks
from training.data.recall_cases import mean_over_users

RANK_CONSTANT_GRID = (5.0, 20.0, 60.0)
WEIGHT_GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
MAX_ROUNDS = 3


def fit_weights(table: CandidateTable, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]) -> ReciprocalRank:
    """Weights and constant with the highest recall of `targets`, summed over `cutoffs`.

    Coordinate ascent, started from equal weights of all channels or from the best single channel. Each constant is
    tuned separately, since good weights for one constant are a bad start for another.
    """
    fusion_targets, channels = FusionTargets.of(table, targets, user_C), table.sources
    optima = [_coordinate_ascent(fusion_targets, channels, constant, cutoffs) for constant in RANK_CONSTANT_GRID]
    return max(optima, key=itemgetter(0))[1]


def weighted_recall(
    weights: ReciprocalRank, table: CandidateTable, targets: Ragged, user_C: Ints, cutoffs: tuple[int, ...]
) -> float:
    """The recall that `fit_weights` maximizes."""
    fusion_targets = FusionTargets.of(table, targets, user_C)
    return sum(
        fusion_targets.recall(
            weights.weighted_sum(reciprocal_ranks(fusion_targets.rank_HBX, weights.constant), table.sources), cutoffs
        )
    )


def _coordinate_ascent(
    targets: FusionTargets, channels: tuple[str, ...], constant: float, cutoffs: tuple[int, ...]
) -> tuple[float, ReciprocalRank]:
    """The best recall found and its weights."""
    gains = reciprocal_ranks(targets.rank_HBX, constant)
    evaluated: dict[tuple[float, ...], tuple[float, ReciprocalRank]] = {}

    def evaluate(weights: dict[str, float]) -> tuple[float, ReciprocalRank]:
        # Rounds repeat many weights of earlier rounds.
        key = tuple(weights.values())
        if key not in evaluated:
            fusion = ReciprocalRank(weights, constant)
            evaluated[key] = round(sum(targets.recall(fusion.weighted_sum(gains, channels), cutoffs)), 9), fusion
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
    def of(cls, table: CandidateTable, targets: Ragged, user_C: Ints) -> FusionTargets:
        """From the candidates, targets and users of all requests."""
        size = np.int64(max(table.item_C.max(initial=0), targets.items.max(initial=0)) + 1)
        target_keys = targets.case_per_item * size + targets.items
        is_target_C = np.isin(table.row_C * size + table.item_C, target_keys)
        case_B = np.unique(table.row_C[is_target_C])
        found = table.take_requests(case_B)
        row, column = found.row_C, found.place_C
        width = int(column.max(initial=-1)) + 1
        rank_HBX = np.full((len(table.sources), len(case_B), width), -1, dtype=np.int32)
        rank_HBX[:, row, column] = found.rank_CH.T
        target = is_target_C[np.isin(table.row_C, case_B)]
        return cls(rank_HBX, row[target], column[target], case_B, targets.count_C, user_C)

    def recall(self, score_BX: Doubles, cutoffs: tuple[int, ...]) -> list[float]:
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
