"""Cases to batches of tensors, one batch at a time: sequences are cut by offset, so nothing of size cases × L ever
exists.

Shape letters: R cases, B cases of a batch, T tasks, F profile features. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.features import OfflineFeatures, UserBatch
from training.ranking.cases import RankingCases
from training.ranking.features import RankingFeatures
from training.ranking.inputs import CandidateInputs, UserInputs
from training.ranking.user_features import DAY_US


@dataclass(frozen=True)
class CaseBatch:
    """B cases with one candidate each; `position_B` as `RankingCases.position_R`."""

    users: UserInputs
    candidates: CandidateInputs
    labels_BT: Tensor
    position_B: Tensor

    def to(self, device: torch.device) -> CaseBatch:
        """The same on a device."""
        return CaseBatch(
            self.users.to(device), self.candidates.to(device), self.labels_BT.to(device), self.position_B.to(device)
        )


@dataclass
class Kept:
    """Numbers of cases that were made once: of the user, of the candidate, of where it was found; float32 [R, …]."""

    is_there_R: NDArray[np.bool_]
    numbers: list[NDArray[np.float32]]

    @classmethod
    def of(cls, cases: int) -> Kept:
        """Nothing yet."""
        return cls(np.zeros(cases, dtype=bool), [])

    def put(self, rows: NDArray[np.int64], *parts: Tensor) -> None:
        """Keep the numbers of some cases."""
        if not self.numbers:
            self.numbers = [np.empty((len(self.is_there_R), part.shape[1]), np.float32) for part in parts]
        for kept, part in zip(self.numbers, parts, strict=True):
            kept[rows] = part.numpy()
        self.is_there_R[rows] = True

    def take(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """The numbers of some cases, in the order in which they were put."""
        return [kept[rows] for kept in self.numbers]


class CaseBatches:
    """Cases by row numbers: `batches[[3, 1, 4]]` is one batch; `at(i, …)` is batch i of a shuffled training run.

    The profile of every case is asked of Feast once (point-in-time, a few numbers a case); the sequences of a batch
    are read when the batch is. With `keep`, the numbers that hard search made are kept (4 bytes each), so that the next
    pass over the cases reads the short sequences only.
    """

    def __init__(
        self,
        cases: RankingCases,
        offline: OfflineFeatures,
        service: str,
        features: RankingFeatures,
        keep: bool = False,
    ) -> None:
        self.cases = cases
        self.features = features
        self.user_ids_R = offline.data.user_ids_U[cases.user_R]
        contract = offline.contract(service)
        self._readers = {view: offline.data.reader(view) for view in features.views}
        missing = set(features.views) - set(contract.sequence_views)
        if missing:
            raise LookupError(
                f"feature service {service!r} lacks {sorted(missing)}; add them in feature_repo/services.py and run "
                "`feast -c feature_repo apply`"
            )
        self._kept = Kept.of(len(cases)) if keep else None
        self._order: tuple[tuple[int, int], NDArray[np.int64]] = ((-1, -1), np.zeros(0, dtype=np.int64))
        self._profile = profiles(offline, service, self.user_ids_R, cases.request_at_R)

    def __len__(self) -> int:
        """R."""
        return len(self.cases)

    def user_batch(
        self, rows: Sequence[int] | NDArray[np.int64], views: Mapping[str, int | None] | None = None
    ) -> UserBatch:
        """What was known of the users of some cases at their requests: all views, or so many events of some."""
        index = np.asarray(rows, dtype=np.int64)
        asked = dict.fromkeys(self._readers) if views is None else views
        user_ids, times = self.user_ids_R[index].tolist(), self.cases.request_at_R[index]
        return UserBatch(
            user_ids=user_ids,
            request_at_B=times,
            views={view: self._readers[view].read(user_ids, times, length) for view, length in asked.items()},
            scene_B=self.cases.scene_R[index].tolist(),
            profile={name: values_R[index] for name, values_R in self._profile.items()},
        )

    def __getitem__(self, rows: Sequence[int] | NDArray[np.int64]) -> CaseBatch:
        """One batch."""
        index = np.asarray(rows, dtype=np.int64)
        items_B1 = self.cases.item_R[index][:, None]
        told = torch.from_numpy(self.cases.labels_RT[index]), torch.from_numpy(self.cases.position_R[index])
        kept = self._kept
        if kept is not None and kept.is_there_R[index].all():
            context_BU, own_BF, match_BM = kept.take(index)
            side = self.features.users(self.user_batch(index, self.features.sequence_views), context_BU)
            track_B1, artist_B1 = (torch.from_numpy(codes) for codes in self.features.identities(items_B1))
            found = CandidateInputs(
                track_B1, artist_B1, torch.from_numpy(own_BF[:, None]), torch.from_numpy(match_BM[:, None])
            )
            return CaseBatch(side.inputs, found, *told)
        side = self.features.users(self.user_batch(index))
        candidates = self.features.candidates(side, items_B1)
        if kept is not None:
            kept.put(index, side.inputs.context_BU, candidates.features_BCF[:, 0], candidates.matches_BCM[:, 0])
        return CaseBatch(side.inputs, candidates, *told)

    def in_order(self, batch_size: int) -> Iterator[CaseBatch]:
        """Every case once, in order."""
        for start in range(0, len(self), batch_size):
            yield self[range(start, min(start + batch_size, len(self)))]

    def at(self, step: int, batch_size: int, seed: int) -> CaseBatch:
        """Training batch `step`: every epoch goes over all cases, in an order of the seed and the epoch only."""
        per_epoch = -(-len(self) // batch_size)
        epoch, place = divmod(step, per_epoch)
        if self._order[0] != (seed, epoch):
            self._order = ((seed, epoch), np.random.default_rng([seed, epoch]).permutation(len(self)))
        # In the cases' order neighbours share their history in memory; within a batch the order means nothing.
        return self[np.sort(self._order[1][place * batch_size : (place + 1) * batch_size])]


def profiles(
    offline: OfflineFeatures, service: str, user_ids: NDArray[Any], times: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """The ordinary features of a service for every (user, time), as known before it.

    Every (user, day) is asked once: a profile's rows are known from midnights on, so all requests of a day see the
    same.
    """
    contract = offline.contract(service)
    if not contract.features or not len(times):
        return {}
    day = times // DAY_US
    _, first, inverse = np.unique(
        np.stack([np.unique(user_ids, return_inverse=True)[1], day]), axis=1, return_index=True, return_inverse=True
    )
    asked = offline._profile(contract, user_ids[first].tolist(), times[first])
    return {name: values[inverse.ravel()] for name, values in asked.items()}
