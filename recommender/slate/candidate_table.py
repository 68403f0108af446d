"""The candidates of one or many requests, from recall to the response: one row per candidate, one column per property.

Legend: B requests, C candidates of all requests, H sources, K candidates of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import AnyFloats, Bools, Ints
from recommender.catalog.arrays import Ragged, first_occurrence_mask, unique_inverse
from recommender.recall.channel import REPEAT_CHANNELS

Ranks = NDArray[np.int32]


@dataclass(frozen=True)
class CandidateTable:
    """C candidates; the candidates of a request are adjacent.

    Attributes:
        sources: Names of the H sources.
        requests: B.
        row_C: Request of each candidate, ascending.
        item_C: Item.
        is_discovery_C: Whether the item is new to the user; a track of today's list keeps what it was when it was listed.
        rank_CH: int32 rank (from 0) among the repeats or among the discoveries of each source; -1: not found by it.
        score_C: Score, comparable among the repeats and among the discoveries of a request; 0: fills up lists only.
        slot_C: Slot of a track of today's list; -1 for all others.
        propensity_C: Probability with which exploration chose the item, below 1; 1 if something else did.
    """

    sources: tuple[str, ...]
    requests: int
    row_C: Ints
    item_C: Ints
    is_discovery_C: Bools
    rank_CH: Ranks
    score_C: AnyFloats
    slot_C: Ints
    propensity_C: AnyFloats

    @classmethod
    def of(
        cls, sources: Sequence[str], requests: int, row_C: Ints, item_C: Ints, is_discovery_C: Bools, rank_CH: Ranks
    ) -> Self:
        """Candidates without scores that are in no list."""
        zeros_C = np.zeros(len(item_C))
        slot_C = np.full(len(item_C), -1, dtype=np.int64)
        return cls(tuple(sources), requests, row_C, item_C, is_discovery_C, rank_CH, zeros_C, slot_C, zeros_C + 1)

    @classmethod
    def empty(cls, sources: Sequence[str]) -> Self:
        """No candidates for one request."""
        no_items = np.zeros(0, dtype=np.int64)
        return cls.of(sources, 1, no_items, no_items, no_items > 0, np.zeros((0, len(sources)), dtype=np.int32))

    @classmethod
    def merge(cls, found: Mapping[str, Ints], history: Ragged, sources: Sequence[str] = ()) -> Self:
        """The distinct candidates of all sources, sorted by request, then item.

        Args:
            found: Source → items [B, K], best first; 0 = no item.
            history: Items in the user's history of each request. These are repeats, and so are the items that
                REPEAT_CHANNELS propose: a history view has a maximum length, and these channels know older plays.
            sources: Sources of the table besides the sources of `found`.
        """
        names, sources = sorted(found), tuple(sources or sorted(found))
        nothing_B0 = np.zeros((len(history.offset_C1) - 1, 0), dtype=np.int64)
        items_BJ = np.concatenate([nothing_B0, *(found[name] for name in names)], axis=1)
        row_N, column_N = items_BJ.nonzero()
        number_H = np.array([sources.index(name) for name in names], dtype=np.int64)
        source_N = number_H.repeat([found[name].shape[1] for name in names])[column_N]
        size = np.int64(max(items_BJ.max(initial=0), history.items.max(initial=0)) + 1)
        key_C, number_N = unique_inverse(row_N * size + items_BJ[row_N, column_N])
        is_discovery_C = np.ones(len(key_C), dtype=bool)
        is_discovery_C[_positions_of(key_C, history.case_per_item * size + history.items)] = False
        for name in REPEAT_CHANNELS:
            if name in found:
                is_discovery_C[number_N[source_N == sources.index(name)]] = False
        # In the order of the entries, a rank counts the entries of the source before, of the same kind.
        is_discovery_N, place_N = is_discovery_C[number_N], np.arange(len(number_N))
        begin_N = _begin_of_groups(row_N * len(sources) + source_N)
        before_N = is_discovery_N.cumsum() - is_discovery_N
        discoveries_N = before_N - before_N[begin_N]
        rank_CH = np.full((len(key_C), len(sources)), -1, dtype=np.int32)
        rank_CH[number_N, source_N] = np.where(is_discovery_N, discoveries_N, place_N - begin_N - discoveries_N)
        row_C, item_C = np.divmod(key_C, size)
        return cls.of(sources, len(items_BJ), row_C, item_C, is_discovery_C, rank_CH)

    def __len__(self) -> int:
        """C."""
        return len(self.item_C)

    def take(self, places: Ints | Bools | slice) -> Self:
        """These candidates, in this order."""
        return type(self)(
            self.sources,
            self.requests,
            self.row_C[places],
            self.item_C[places],
            self.is_discovery_C[places],
            self.rank_CH[places],
            self.score_C[places],
            self.slot_C[places],
            self.propensity_C[places],
        )

    def take_requests(self, rows: Ints) -> Self:
        """The candidates of some requests, renumbered in the order of `rows`, which is ascending."""
        number_B = np.full(self.requests, -1, dtype=np.int64)
        number_B[rows] = np.arange(len(rows))
        row_C = number_B[self.row_C]
        return replace(self, requests=len(rows), row_C=row_C).take(row_C >= 0)

    def split(self) -> list[Self]:
        """The candidates of each request, as a table of its own."""
        ends = np.searchsorted(self.row_C, np.arange(self.requests + 1)).tolist()
        one = replace(self, requests=1, row_C=np.zeros_like(self.row_C))
        return [one.take(slice(begin, end)) for begin, end in pairwise(ends)]

    def then(self, more: Self) -> Self:
        """These candidates of one request, followed by `more` from the same sources."""
        return type(self)(
            self.sources,
            self.requests,
            np.concatenate([self.row_C, more.row_C]),
            np.concatenate([self.item_C, more.item_C]),
            np.concatenate([self.is_discovery_C, more.is_discovery_C]),
            np.concatenate([self.rank_CH, more.rank_CH]),
            np.concatenate([self.score_C, more.score_C]),
            np.concatenate([self.slot_C, more.slot_C]),
            np.concatenate([self.propensity_C, more.propensity_C]),
        )

    def scored(self, score_C: AnyFloats) -> Self:
        """The same candidates with other scores."""
        return replace(self, score_C=score_C)

    def has_order_of(self, other: Self) -> bool:
        """Whether the other table of one request has the same items with the same scores, in this order, from the same sources."""
        return (
            self.sources == other.sources
            and np.array_equal(self.item_C, other.item_C)
            and np.array_equal(self.score_C, other.score_C)
        )

    @property
    def place_C(self) -> Ints:
        """Place of each candidate in its request, from 0."""
        return np.arange(len(self)) - _begin_of_groups(self.row_C)

    def items(self, k: int) -> Ints:
        """The first `k` items of each request [B, k], padded with 0."""
        items_BK = np.zeros((self.requests, k), dtype=np.int64)
        place_C = self.place_C
        kept = place_C < k
        items_BK[self.row_C[kept], place_C[kept]] = self.item_C[kept]
        return items_BK

    def found_by(self) -> list[list[str]]:
        """The sources that found each candidate, best rank first, of equal ranks in their order."""
        order_CH = np.argsort(self.rank_CH, axis=1, kind="stable")
        absent_C = (self.rank_CH < 0).sum(axis=1)  # these come first
        orders = zip(order_CH.tolist(), absent_C.tolist(), strict=True)
        return [[self.sources[number] for number in order[absent:]] for order, absent in orders]


def _begin_of_groups(group_N: Ints) -> Ints:
    """For each of N elements, the place of the first one of its group; the elements of a group follow each other."""
    is_first_N = first_occurrence_mask(group_N)
    return is_first_N.nonzero()[0][is_first_N.cumsum() - 1]


def _positions_of(key_M: Ints, query_N: Ints) -> Ints:
    """Positions in the ascending keys `key_M` of those query keys that are among them."""
    if not len(key_M):
        return key_M
    position_N = np.minimum(key_M.searchsorted(query_N), len(key_M) - 1)
    return position_N[key_M[position_N] == query_N]
