"""Weights of the sources of playlist continuation, by number of seeds.

One seed is continued best by other sources than 25, and a title alone only by those that read titles. The weights of
reciprocal rank fusion are therefore fitted for each range of SEED_RANGES on validation playlists of that many seeds. With
seeds, the sources that read the title share a part of the weight of all others, so that a title never outvotes the seeds.
The sources continue negative seeds, too; a part of the scores of these candidates is subtracted.

Legend: C candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.recall.continuation.source import TITLE_SOURCES
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.fusion import ReciprocalRank, interleave
from recommender.slate.json_file import JsonFile
from recommender.slate.ranker_blend import scale_by_max

SEED_RANGES = (0, 1, 2, 10)
"""Smallest number of seeds of each range."""
CUTOFFS = (30, 200)
"""Weights are fitted for the sum of recall at these cutoffs."""
TITLE_SHARE = 0.5
"""Weight of the sources that read the title, as a part of the weight of those that read seeds. Of 0.1 to 0.5, validation chose it
in every world that was tried."""

NEGATIVE_SHARE = 0.5
"""Weight of negative seeds, as a part of the weight of seeds. With 1, a negative seed that resembles the seeds would take away most
of what is close to them.
"""


@dataclass(frozen=True)
class Continuation(JsonFile):
    """How sources are fused.

    Attributes:
        weights: Key of a range (`range_key`) → weights, of a title alone for 0 seeds, else of the sources that read seeds.
            Ranges that were not fitted have equal weights.
    """

    weights: Mapping[str, ReciprocalRank] = field(default_factory=dict)

    def score(self, candidates: Mapping[str, Ints], seeds: Ragged, sources: Sequence[str] = ()) -> CandidateTable:
        """The candidates of each playlist with scores; all playlists have a number of seeds of the same range.

        Args:
            candidates: Candidates by source.
            seeds: Seeds of each playlist.
            sources: Sources of the table, see `CandidateTable.merge`.
        """
        count = int(seeds.count_C.max(initial=0))
        weights = self.weights.get(range_key(count), ReciprocalRank())
        if count:
            weights = self._with_titles(weights, candidates)
        table = CandidateTable.merge(candidates, _no_history(len(seeds.count_C)), sources)
        return table.scored(weights.scores(table))

    def fuse(
        self,
        candidates: Mapping[str, Ints],
        seeds: Ragged,
        sources: Sequence[str] = (),
        unwanted: CandidateTable | None = None,
    ) -> CandidateTable:
        """The candidates of each playlist, best first, with scores by place.

        Args:
            candidates, seeds, sources: See `score`.
            unwanted: Scored candidates of the negative seeds of the only playlist.
        """
        table = self.score(candidates, seeds, sources)
        score_C = table.score_C
        if unwanted is not None:  # scaled, because the weights of two ranges have different sums
            subtracted = dict(zip(unwanted.item_C.tolist(), scale_by_max(unwanted.score_C).tolist(), strict=True))
            negative_C = np.array([subtracted.get(item, 0.0) for item in table.item_C.tolist()])
            score_C = scale_by_max(score_C) - NEGATIVE_SHARE * negative_C
        return interleave(table.take(np.lexsort((-score_C, table.row_C))), [1.0] * table.requests)

    def _with_titles(self, weights: ReciprocalRank, names: Collection[str]) -> ReciprocalRank:
        """The weights of sources that read seeds or the title."""
        of_seeds = {
            name: weights.weights.get(name, 0.0) if weights.weights else 1.0
            for name in names
            if name not in TITLE_SOURCES
        }
        titles = [name for name in names if name in TITLE_SOURCES]
        total = sum(of_seeds.values()) or 1.0
        return ReciprocalRank(of_seeds | {name: TITLE_SHARE * total / len(titles) for name in titles}, weights.constant)


def range_key(seeds: int) -> str:
    """Key of the weights for a number of seeds: the smallest number of its range."""
    return str(max(least for least in SEED_RANGES if least <= seeds))


def _no_history(count: int) -> Ragged:
    # No user: every candidate counts as a discovery.
    return Ragged(np.zeros(0, dtype=np.int64), np.zeros(count + 1, dtype=np.int64))
