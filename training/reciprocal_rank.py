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
from itertools import product
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from training.data import Ragged
from training.recall.channel import Candidates
from training.recall.measure import by_user, hits

CONSTANTS = (5.0, 20.0, 60.0)
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
ROUNDS = 3
FILLS = 1e-9
TARGETS_AT_ONCE = 4096

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """The M distinct candidates of B requests, by request, then item: whether the user has heard each, and its rank
    (int32, from 0) in each channel among that channel's candidates of the same kind, -1 where it did not find it.
    """

    requests: int
    row_M: Ints
    item_M: Ints
    is_heard_M: NDArray[np.bool_]
    rank_MH: NDArray[np.int32]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, candidates: Mapping[str, Candidates], heard: Ragged) -> Found:
        """Of what the channels gave for the same requests; `heard[b]` is what the user of request b has heard."""
        channels = tuple(sorted(candidates))
        items = np.concatenate([candidates[name].items_BK for name in channels], axis=1)
        is_heard = hits(items, heard)
        ranks, start = [], 0
        for name in channels:
            end = start + candidates[name].items_BK.shape[1]
            some, known = items[:, start:end] > 0, is_heard[:, start:end]
            ranks.append(np.where(known, known.cumsum(1), (some & ~known).cumsum(1)) - 1)
            start = end
        rank_all = np.concatenate(ranks, axis=1)
        channel_all = np.repeat(np.arange(len(channels)), [one.shape[1] for one in ranks])
        row, column = np.nonzero(items)
        top = np.int64(items.max(initial=0) + 1)
        key, first, place = np.unique(row * top + items[row, column], return_index=True, return_inverse=True)
        rank_MH = np.full((len(key), len(channels)), -1, dtype=np.int32)
        rank_MH[place, channel_all[column]] = rank_all[row, column]
        row_M, item_M = np.divmod(key, top)
        return cls(len(items), row_M, item_M, is_heard[row, column][first], rank_MH, channels)

    def of_kind(self, is_heard: bool) -> Found:
        """The candidates of one kind, of the same requests."""
        some = self.is_heard_M == is_heard
        return Found(
            self.requests, self.row_M[some], self.item_M[some], self.is_heard_M[some], self.rank_MH[some], self.channels
        )

    @cached_property
    def offset_B1(self) -> Ints:
        """Where each request's candidates begin."""
        return np.searchsorted(self.row_M, np.arange(self.requests + 1))


@dataclass(frozen=True)
class ReciprocalRank:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found a candidate.

    A channel that has no weight fills up: what it alone found follows everything else. Without any weights all channels
    have the same.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    constant: float = 60.0

    def scores(self, found: Found) -> Floats:
        """Positive, [M]."""
        return _gains(found, self.constant) @ self._weights(found.channels)

    def best(self, found: Found, k: int) -> Ints:
        """The numbers (from 1) in `found` of each request's `k` best candidates, [B, k], ties by smaller item; 0 is none."""
        order = np.lexsort((-self.scores(found), found.row_M))
        row = found.row_M[order]
        place = np.arange(len(row)) - found.offset_B1[row]
        best_BK = np.zeros((found.requests, k), dtype=np.int64)
        best_BK[row[place < k], place[place < k]] = order[place < k] + 1
        return best_BK

    def _weights(self, channels: tuple[str, ...]) -> Floats:
        return np.array([max(self.weights.get(name, 0.0) if self.weights else 1.0, FILLS) for name in channels])

    @classmethod
    def fit(cls, found: Found, targets: Ragged, user_B: Ints, cutoffs: tuple[int, ...]) -> ReciprocalRank:
        """The weights and the constant with the greatest recall of `targets`, summed over `cutoffs`: from all channels
        alike or the best one alone, one number at a time, some rounds.
        """
        wanted = Wanted.of(found, targets, user_B)

        def reached(fusion: ReciprocalRank, gain_MH: Floats) -> float:
            return wanted.recall(gain_MH @ fusion._weights(found.channels), cutoffs)

        def start(*names: str) -> ReciprocalRank:
            return cls({name: float(name in names) for name in found.channels}, CONSTANTS[-1])

        best, most, gain_MH = cls(), -1.0, _gains(found, CONSTANTS[-1])
        for trial in (start(*found.channels), *(start(name) for name in found.channels)):
            best, most = max((best, most), (trial, reached(trial, gain_MH)), key=itemgetter(1))
        for _ in range(ROUNDS):
            before = most
            for constant in CONSTANTS:
                trial = cls(best.weights, constant)
                best, most = max((best, most), (trial, reached(trial, _gains(found, constant))), key=itemgetter(1))
            gain_MH = _gains(found, best.constant)
            for name, weight in product(found.channels, WEIGHTS):
                trial = cls({**best.weights, name: weight}, best.constant)
                best, most = max((best, most), (trial, reached(trial, gain_MH)), key=itemgetter(1))
            if most == before:
                break
        return best


def _gains(found: Found, constant: float) -> Floats:
    """What each channel says for each candidate, [M, H], before it is weighed."""
    return np.where(found.rank_MH >= 0, 1 / (constant + np.maximum(found.rank_MH, 0) + 1), 0.0)


@dataclass(frozen=True)
class Wanted:
    """Which of the candidates were listened to: target t is candidate `number_T[t]`. All that a fit looks at again and
    again is made once.
    """

    found: Found
    number_T: Ints
    count_B: Ints
    user_B: Ints

    @classmethod
    def of(cls, found: Found, targets: Ragged, user_B: Ints) -> Wanted:
        top = np.int64(max(found.item_M.max(initial=0), targets.items.max(initial=0)) + 1)
        wanted = targets.case_of_items * top + targets.items
        number_T = np.flatnonzero(np.isin(found.row_M * top + found.item_M, wanted))
        return cls(found, number_T, targets.count_C, user_B)

    def recall(self, score_M: Floats, cutoffs: tuple[int, ...]) -> float:
        """Recall at each cutoff when each request's candidates are ordered by score, summed; as `recall_table` has it.

        Only the places of the targets are counted out: nothing is sorted.
        """
        row_M, offset_B1 = self.found.row_M, self.found.offset_B1
        width = int(np.diff(offset_B1).max(initial=0))
        score_BX = np.full((self.found.requests, width), -np.inf)
        score_BX[row_M, np.arange(len(row_M)) - offset_B1[row_M]] = score_M
        row_T = row_M[self.number_T]
        place_T = np.zeros(len(row_T), dtype=np.int64)
        for start in range(0, len(row_T), TARGETS_AT_ONCE):
            some = slice(start, start + TARGETS_AT_ONCE)
            mine, others = score_M[self.number_T[some], None], score_BX[row_T[some]]
            is_smaller = np.arange(width) < (self.number_T[some] - offset_B1[row_T[some]])[:, None]
            place_T[some] = ((others > mine) | ((others == mine) & is_smaller)).sum(1)
        total = 0.0
        for k in cutoffs:
            hit_B = np.bincount(row_T[place_T < k], minlength=len(self.count_B))
            share_B = np.divide(hit_B, self.count_B, out=np.full(len(hit_B), np.nan), where=self.count_B > 0)
            total += float(np.nan_to_num(by_user(share_B, self.user_B)))
        return round(total, 9)
