"""Cases to batches of tensors, one batch at a time: sequences are cut by offset, so nothing of size cases × L ever
exists.

Shape letters: R cases, B cases of a batch, T tasks, F profile features. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.user_batch import OfflineFeatures, UserBatch
from training.engine import distributed
from training.engine.parallel_map import parallel_map
from training.ranking.case_features import CaseFeatures, Floats
from training.ranking.cases import RankingCases
from training.ranking.features.ranking_features import RankingFeatures
from training.ranking.features.user_features import DAY_US
from training.ranking.inputs import CandidateInputs, UserInputs, concatenate_inputs

FEATURE_BATCH_SIZE = 64
"""Cases whose numbers are made together: what is computed of them stays in the processor's cache."""


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


class CaseBatches:
    """Cases by row numbers: `batches[[3, 1, 4]]` is one batch; `at(i, …)` is batch i of a shuffled training run.

    The profile of every case is asked of Feast once (point-in-time, a few numbers a case); the sequences of a batch
    are read when the batch is. After `make_numbers` the numbers of every case are kept, so that passes over the cases read
    the short sequences only, or, in `numbers_at`, none.
    """

    def __init__(self, cases: RankingCases, offline: OfflineFeatures, service: str, features: RankingFeatures) -> None:
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
        self.dense_features: CaseFeatures | None = None
        self._order: tuple[tuple[int, int], NDArray[np.int64]] = ((-1, -1), np.zeros(0, dtype=np.int64))
        self._profile = load_profiles(offline, service, self.user_ids_R, cases.request_at_R)

    def __len__(self) -> int:
        """R."""
        return len(self.cases)

    def user_batch(
        self, rows: Sequence[int] | NDArray[np.int64], views: Mapping[str, int | None] | None = None
    ) -> UserBatch:
        """What was known of the users of some cases at their requests: all views, or so many events of some.

        Views that are searched only are as wide as their longest history.
        """
        index = np.asarray(rows, dtype=np.int64)
        asked = dict.fromkeys(self._readers) if views is None else views
        user_ids, times = self.user_ids_R[index].tolist(), self.cases.request_at_R[index]
        return UserBatch(
            user_ids=user_ids,
            request_at_B=times,
            views={
                view: self._readers[view].read(user_ids, times, length, view not in self.features.sequence_views)
                for view, length in asked.items()
            },
            scene_B=self.cases.scene_R[index].tolist(),
            profile={name: values_R[index] for name, values_R in self._profile.items()},
        )

    def __getitem__(self, rows: Sequence[int] | NDArray[np.int64]) -> CaseBatch:
        """One batch."""
        index = np.asarray(rows, dtype=np.int64)
        items_B1 = self.cases.item_R[index][:, None]
        told = torch.from_numpy(self.cases.labels_RT[index]), torch.from_numpy(self.cases.position_R[index])
        if self.dense_features is None:
            pieces = (
                slice(start, start + FEATURE_BATCH_SIZE) for start in range(0, max(len(index), 1), FEATURE_BATCH_SIZE)
            )
            made = [self._inputs(index[piece], items_B1[piece]) for piece in pieces]
            users, candidates = map(concatenate_inputs, zip(*made, strict=True))
            return CaseBatch(users, candidates, *told)
        return CaseBatch(
            *self._precomputed_inputs(self.user_batch(index, self.features.sequence_views), items_B1, index), *told
        )

    def _inputs(self, index: NDArray[np.int64], items_B1: NDArray[np.int64]) -> tuple[UserInputs, CandidateInputs]:
        side = self.features.prepare_users(self.user_batch(index))
        return side.inputs, self.features.prepare_candidates(side, items_B1)

    def precompute_dense_features(self, processes: int) -> None:
        """Make the numbers of every case, in so many processes; of several ranks each makes its share."""
        own = distributed.rank_slice(len(self))
        starts = range(own.start, own.stop, FEATURE_BATCH_SIZE)
        pieces = [range(start, min(start + FEATURE_BATCH_SIZE, own.stop)) for start in starts]
        made = CaseFeatures.collect(
            own.stop - own.start, parallel_map(self._compute_dense_features, pieces, "numbers", processes)
        )
        self.dense_features = replace(
            made, features_RN=distributed.all_gather_rows(torch.from_numpy(made.features_RN))[0].numpy()
        )

    def _compute_dense_features(self, rows: range) -> tuple[Floats, ...]:
        one = self[rows]
        made = one.users.context_BU, one.candidates.features_BCF[:, 0], one.candidates.matches_BCM[:, 0]
        # As arrays: a tensor would come from another process through a file of its own.
        return tuple(numbers.numpy() for numbers in made)

    def dense_only_batch(self, rows: Sequence[int] | NDArray[np.int64]) -> CaseBatch:
        """One batch of numbers alone: users without events, and a candidate that is none; after `make_numbers`.

        What a ranker says of it is what its numbers say.
        """
        index = np.asarray(rows, dtype=np.int64)
        # One event is read to be left out: what columns a sequence has only its reader knows.
        users = self.user_batch(index, dict.fromkeys(self.features.sequence_views, 1))
        users = replace(users, views={view: batch.newest(0) for view, batch in users.views.items()})
        told = torch.from_numpy(self.cases.labels_RT[index]), torch.from_numpy(self.cases.position_R[index])
        return CaseBatch(*self._precomputed_inputs(users, np.zeros((len(index), 1), dtype=np.int64), index), *told)

    def _precomputed_inputs(
        self, users: UserBatch, items_B1: NDArray[np.int64], index: NDArray[np.int64]
    ) -> tuple[UserInputs, CandidateInputs]:
        assert self.dense_features is not None  # noqa: S101  # whoever calls has seen to it
        context_BU, own_BF, match_BM = self.dense_features.take(index)
        track_B1, artist_B1 = (torch.from_numpy(codes) for codes in self.features.track_artist_codes(items_B1))
        numbers = torch.from_numpy(own_BF[:, None]), torch.from_numpy(match_BM[:, None])
        return self.features.prepare_users(users, context_BU).inputs, CandidateInputs(track_B1, artist_B1, *numbers)

    def iterate_in_order(self, batch_size: int) -> Iterator[CaseBatch]:
        """Every case once, in order."""
        for start in range(0, len(self), batch_size):
            yield self[range(start, min(start + batch_size, len(self)))]

    def training_batch(self, step: int, batch_size: int, seed: int) -> CaseBatch:
        """Training batch `step`: every epoch goes over all cases, in an order of the seed and the epoch only. Of several
        ranks each has its own rows.
        """
        return _select_rank_rows(self.__getitem__, self._rows(step, batch_size, seed))

    def dense_training_batch(self, step: int, batch_size: int, seed: int) -> CaseBatch:
        """The same of numbers alone, in the same order; after `make_numbers`."""
        return _select_rank_rows(self.dense_only_batch, self._rows(step, batch_size, seed))

    def _rows(self, step: int, batch_size: int, seed: int) -> NDArray[np.int64]:
        per_epoch = -(-len(self) // batch_size)
        epoch, place = divmod(step, per_epoch)
        if self._order[0] != (seed, epoch):
            self._order = ((seed, epoch), np.random.default_rng([seed, epoch]).permutation(len(self)))
        # In the cases' order neighbours share their history in memory; within a batch the order means nothing.
        rows: NDArray[np.int64] = np.sort(self._order[1][place * batch_size : (place + 1) * batch_size])
        return rows


def _select_rank_rows(make: Callable[[NDArray[np.int64]], CaseBatch], rows: NDArray[np.int64]) -> CaseBatch:
    """This rank's rows of a batch. Where there are fewer rows than ranks, one without a label keeps step with the others."""
    if len(own := rows[distributed.rank_slice(len(rows))]):
        return make(own)
    batch = make(rows[:1])
    return replace(batch, labels_BT=torch.full_like(batch.labels_BT, torch.nan))


def load_profiles(
    offline: OfflineFeatures, service: str, user_ids: NDArray[Any], times: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """The ordinary features of a service for every (user, time), as known before it.

    Every (user, day) is asked once: a profile's rows are known from midnights on, so all requests of a day see the
    same.
    """
    if not offline.contract(service).features or not len(times):
        return {}
    day = times // DAY_US
    _, first, inverse = np.unique(
        np.stack([np.unique(user_ids, return_inverse=True)[1], day]), axis=1, return_index=True, return_inverse=True
    )
    asked = offline.load_profile(service, user_ids[first].tolist(), times[first])
    return {name: values[inverse.ravel()] for name, values in asked.items()}
