"""Many lists of candidates to one: weighted reciprocal-rank fusion, with weights fitted on validation sessions.

Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR
2009); here each channel has a weight, which may differ by scene, and a cap on how many candidates it may bring.
Legend: B requests, K candidates, H channels. Knows nothing about how a channel finds its candidates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from training.data import RecallCases
from training.recall.channel import Candidates
from training.recall.measure import recall_table, worth
from training.workspace import write_json

ANY_SCENE = ""
CONSTANTS = (5.0, 20.0, 60.0)
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
ROUNDS = 3
LEAST_SCENE_CASES = 200


@dataclass(frozen=True)
class FusedCandidates:
    """`items_BK` best first, 0 = none; `scores_BK` 0..1, 1 for what every channel has first; `rank_BKH` int32 rank
    (from 0) of the item in each of `channels`, -1 where that channel did not find it.
    """

    items_BK: np.ndarray
    scores_BK: np.ndarray
    rank_BKH: np.ndarray
    channels: tuple[str, ...]

    def found_by(self, row: int, place: int) -> list[str]:
        """Who found a candidate, the channel that ranked it best first."""
        ranks = self.rank_BKH[row, place]
        return [self.channels[channel] for channel in np.argsort(ranks, kind="stable") if ranks[channel] >= 0]


@dataclass(frozen=True)
class Fusion:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found an item within their first `cap`
    candidates.

    `weights[scene][channel]`; a scene that is not there uses `weights[""]`; a channel without weight is left out.
    """

    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    constant: float = 60.0
    cap: int = 200

    def fuse(
        self, candidates: Mapping[str, Candidates], k: int, scenes: Sequence[str] | None = None
    ) -> FusedCandidates:
        """The best `k` of each request, ties by smaller item. A channel that failed may be missing from
        `candidates`.
        """
        channels = tuple(sorted(candidates))
        if not channels:
            raise ValueError("no channel gave candidates; give at least one to fuse")
        rows = len(next(iter(candidates.values())).items_BK)
        weight_BH = self._weights(channels, list(scenes) if scenes is not None else [ANY_SCENE] * rows)
        lists = [candidates[name].items_BK[:, : self.cap] for name in channels]
        items = np.concatenate(lists, axis=1)
        widths = [one.shape[1] for one in lists]
        channel_M, rank_M = np.repeat(np.arange(len(channels)), widths), np.concatenate([np.arange(w) for w in widths])
        row, column = np.nonzero(items)
        channel, rank = channel_M[column], rank_M[column]
        top = np.int64(items.max(initial=0) + 1)
        key, place = np.unique(row * top + items[row, column], return_inverse=True)
        score = np.bincount(place, weights=weight_BH[row, channel] / (self.constant + rank + 1), minlength=len(key))
        ranks = np.full((len(key), len(channels)), -1, dtype=np.int32)
        ranks[place, channel] = rank
        row, item = np.divmod(key, top)
        order = np.lexsort((item, -score, row))
        order = order[score[order] > 0]
        row = row[order]
        position = np.arange(len(row)) - np.searchsorted(row, row)
        order, row, position = order[position < k], row[position < k], position[position < k]
        best = np.maximum(weight_BH.sum(1) / (self.constant + 1), 1e-12)
        result = FusedCandidates(
            np.zeros((rows, k), dtype=np.int64),
            np.zeros((rows, k), dtype=np.float32),
            np.full((rows, k, len(channels)), -1, dtype=np.int32),
            channels,
        )
        result.items_BK[row, position] = item[order]
        result.scores_BK[row, position] = score[order] / best[row]
        result.rank_BKH[row, position] = ranks[order]
        return result

    def _weights(self, channels: tuple[str, ...], scenes: list[str]) -> np.ndarray:
        general = self.weights.get(ANY_SCENE, dict.fromkeys(channels, 1.0))
        of_scene = [self.weights.get(scene, general) for scene in scenes]
        return np.array([[one.get(name, 0.0) for name in channels] for one in of_scene]).reshape(len(scenes), -1)

    @classmethod
    def fit(cls, candidates: Mapping[str, Candidates], cases: RecallCases, cap: int = 200) -> Fusion:
        """Weights and constant with the greatest worth over `cases`: one weight at a time, some rounds.

        A scene with at least LEAST_SCENE_CASES cases gets weights of its own, starting from the general ones.
        """
        best = cls({ANY_SCENE: dict.fromkeys(sorted(candidates), 1.0)}, CONSTANTS[-1], cap)
        if not len(cases):
            return best
        value = best.worth(candidates, cases)
        for _ in range(ROUNDS):
            before = value
            for constant in CONSTANTS:
                trial = cls(best.weights, constant, cap)
                best, value = _better(best, value, trial, candidates, cases)
            for name in sorted(candidates):
                for weight in WEIGHTS:
                    trial = cls({ANY_SCENE: {**best.weights[ANY_SCENE], name: weight}}, best.constant, cap)
                    best, value = _better(best, value, trial, candidates, cases)
            if value <= before + 1e-5:
                break
        for scene in sorted({str(one) for one in cases.scenes if one}):
            rows = np.flatnonzero(cases.scenes == scene)
            if len(rows) >= LEAST_SCENE_CASES:
                some = {name: Candidates(one.items_BK[rows], one.scores_BK[rows]) for name, one in candidates.items()}
                fitted = cls.fit(some, _without_scenes(cases.take(rows)), cap)
                best = cls({**best.weights, scene: fitted.weights[ANY_SCENE]}, best.constant, cap)
        return best

    def worth(self, candidates: Mapping[str, Candidates], cases: RecallCases) -> float:
        """See `training.recall.measure.worth`, of the fused order."""
        return worth(recall_table(self.fuse(candidates, 200).items_BK, cases))

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """What `save` wrote."""
        return cls(**json.loads(path.read_text()))


def _better(
    best: Fusion, value: float, trial: Fusion, candidates: Mapping[str, Candidates], cases: RecallCases
) -> tuple[Fusion, float]:
    if not any(trial.weights[ANY_SCENE].values()):
        return best, value
    worth = trial.worth(candidates, cases)
    return (trial, worth) if worth > value + 1e-9 else (best, value)


def _without_scenes(cases: RecallCases) -> RecallCases:
    nowhere = np.array([ANY_SCENE] * len(cases), dtype=object)
    return RecallCases(cases.user_ids, cases.user_C, cases.play_number_C, cases.request_at_C, nowhere, cases.items)
