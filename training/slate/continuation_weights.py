"""Weights of the sources of playlist continuation, by number of seeds.

One seed is continued best by other sources than 25, and a title alone only by those that read titles. The weights of
reciprocal rank fusion are therefore fitted for each range of SEED_RANGES on validation playlists of that many seeds. With
seeds, the sources that read the title share a part of the weight of all others, so that a title never outvotes the seeds.

Legend: C cases, K candidates.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from training.data.ragged import Ragged
from training.engine.config_io import config_from_dict
from training.engine.workspace import write_json
from training.recall.channel import Candidates
from training.recall.continuation.source import TITLE_SOURCES, ContinuationSource
from training.slate.candidate_table import CandidateTable
from training.slate.fusion import Fusion
from training.slate.reciprocal_rank import ReciprocalRank

SEED_RANGES = (0, 1, 2, 10)
"""Smallest number of seeds of each range."""
CUTOFFS = (30, 200)
"""Weights are fitted for the sum of recall at these cutoffs."""
TITLE_SHARE = 0.5
"""Weight of the sources that read the title, as a part of the weight of those that read seeds. Of 0.1 to 0.5, validation chose it
in every world that was tried."""


@dataclass(frozen=True)
class PlaylistCases:
    """C playlists to continue."""

    seeds: Ragged  # in the order of the playlist
    titles: Sequence[str]  # empty: not given
    targets: Ragged  # the tracks to find

    def __len__(self) -> int:
        """C."""
        return len(self.titles)

    def recall(self, sources: Mapping[str, ContinuationSource], k: int) -> dict[str, Candidates]:
        """The `k` best candidates of each source for every case, [C, K]."""
        found = {
            name: [source.continue_playlist(self.seeds[case], title, k) for case, title in enumerate(self.titles)]
            for name, source in sources.items()
        }
        return {
            name: Candidates(
                np.concatenate([np.zeros((0, k), dtype=np.int64), *(one.items_BK for one in rows)]),
                np.concatenate([np.zeros((0, k), dtype=np.float32), *(one.scores_BK for one in rows)]),
            )
            for name, rows in found.items()
        }


@dataclass(frozen=True)
class Continuation:
    """How sources are fused.

    Attributes:
        weights: Key of a range (`range_key`) → weights, of a title alone for 0 seeds, else of the sources that read seeds.
            Ranges that were not fitted have equal weights.
    """

    weights: Mapping[str, ReciprocalRank] = field(default_factory=dict)

    def fuse(self, candidates: Mapping[str, Candidates], seeds: Ragged, sources: Sequence[str] = ()) -> CandidateTable:
        """The candidates of each playlist, best first; all playlists have a number of seeds of the same range.

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
        return Fusion(discoveries=weights).fuse(table, share=1.0)

    def _with_titles(self, weights: ReciprocalRank, names: Collection[str]) -> ReciprocalRank:
        """The weights of sources that read seeds, with those of the sources that read the title."""
        of_seeds = {
            name: weights.weights.get(name, 0.0) if weights.weights else 1.0
            for name in names
            if name not in TITLE_SOURCES
        }
        titles = [name for name in names if name in TITLE_SOURCES]
        total = sum(of_seeds.values()) or 1.0
        return ReciprocalRank(of_seeds | {name: TITLE_SHARE * total / len(titles) for name in titles}, weights.constant)

    @staticmethod
    def fit_range(candidates: Mapping[str, Candidates], cases: PlaylistCases) -> ReciprocalRank:
        """The weights with the highest recall of the targets."""
        if not len(cases) or not candidates:
            return ReciprocalRank()
        table = CandidateTable.merge(candidates, _no_history(len(cases)))
        return ReciprocalRank.fit(table, cases.targets, np.arange(len(cases)), CUTOFFS)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that `save` wrote."""
        return config_from_dict(cls, json.loads(path.read_text()))


def range_key(seeds: int) -> str:
    """Key of the weights for a number of seeds: the smallest number of its range."""
    return str(max(least for least in SEED_RANGES if least <= seeds))


def _no_history(count: int) -> Ragged:
    # No user: every candidate counts as a discovery.
    return Ragged(np.zeros(0, dtype=np.int64), np.zeros(count + 1, dtype=np.int64))
