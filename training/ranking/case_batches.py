"""Batches of ranking cases as tensors, built on demand, and precomputed dense features of all cases.

Sequences are sliced by offset, so no array of cases × L is ever held. Does not depend on models. Shape letters: R
cases, B cases of a batch, T tasks, U user features, F candidate features, M match features, N dense features in all.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import TrackStatistics, further_statistics_fields
from recommender.ranking.features.user_features import DAY_US
from recommender.ranking.inputs import CandidateInputs, UserInputs, concatenate_inputs
from recommender.ranking.ranker import as_tensors
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import drop_reversed
from training.data.offline_features import OfflineFeatures
from training.data.recall_cases import row_chunks
from training.data.training_data import TrainingData
from training.process import parallel_map
from training.ranking.labeled_cases import RankingCases, newest_rows_per_user

FEATURE_BATCH_SIZE = 64
"""Cases whose features are computed together; intermediate arrays of this size fit in the CPU cache."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CaseBatch:
    """B cases with one candidate each; `position_B` is a slice of `RankingCases.position_R`."""

    users: UserInputs
    candidates: CandidateInputs
    labels_BT: Tensor
    position_B: Tensor


def _case_batch(*parts: Any) -> CaseBatch:
    return CaseBatch(*map(as_tensors, parts))


class CaseBatches:
    """Batches of cases: `batches[[3, 1, 4]]` by row number, `training_batch(i, …)` as batch i of a shuffled run.

    The profiles of all cases are read from Feast once (point-in-time, a few values per case); sequences are read with
    each batch. Dense features are most of the cost of a batch and the same in every pass: after `precompute_dense_features`,
    batches read the short sequences only, or none (`dense_only_batch`).

    Raises:
        LookupError: The feature service lacks a sequence view that the features read.
    """

    def __init__(self, cases: RankingCases, offline: OfflineFeatures, service: str, features: RankingFeatures) -> None:
        self.cases = cases
        self.features = features
        self.user_ids_R = offline.data.user_ids_U[cases.user_R]
        contract = offline.contract(service)
        self._exclusions = offline.data.profile_exclusions
        self._readers = {view: offline.data.reader(view) for view in features.views}
        missing = set(features.views) - set(contract.sequence_views)
        if missing:
            raise LookupError(
                f"feature service {service!r} lacks {sorted(missing)}; add them in feature_repo/services.py and run "
                "`feast -c feature_repo apply`"
            )
        # One row per case: user features, candidate features, match features; 300 MB for 400,000 cases of 180 features.
        self.dense_RN: Floats | None = None
        self._widths: tuple[int, ...] = ()
        self._order: tuple[tuple[int, int], NDArray[np.int64]] = ((-1, -1), np.zeros(0, dtype=np.int64))
        self._profile = load_profiles(offline, service, self.user_ids_R, cases.request_at_R)

    def __len__(self) -> int:
        """Return R."""
        return len(self.cases)

    def newest_per_user(self, cases: int) -> Self:
        """Return batches of about `cases` of the cases (`RankingCases.newest_per_user`), with their dense features."""
        if len(self) <= cases:
            return self
        rows, chosen = newest_rows_per_user(self.cases.user_R, cases), copy.copy(self)
        chosen.cases, chosen.user_ids_R = self.cases.take(rows), self.user_ids_R[rows]
        chosen._profile = {name: values_R[rows] for name, values_R in self._profile.items()}
        chosen.dense_RN = None if self.dense_RN is None else self.dense_RN[rows]
        chosen._order = ((-1, -1), np.zeros(0, dtype=np.int64))
        return chosen

    def user_batch(
        self, rows: Sequence[int] | NDArray[np.int64], views: Mapping[str, int | None] | None = None
    ) -> UserBatch:
        """Return the user state at the requests of some cases.

        Args:
            rows: Row numbers of the cases.
            views: Sequence views to read with their number of newest events (None: all events); default: all views.
                Views that are only searched are as wide as their longest history.
        """
        index = np.asarray(rows, dtype=np.int64)
        lengths = dict.fromkeys(self._readers) if views is None else views
        user_ids, times = self.user_ids_R[index].tolist(), self.cases.request_at_R[index]
        sequences = {
            view: drop_reversed(
                self._readers[view].read(user_ids, times, length, view not in self.features.sequence_views)
            )
            for view, length in lengths.items()
        }
        return UserBatch(
            user_ids=user_ids,
            request_at_B=times,
            views=self._exclusions.leave_out(sequences, user_ids),
            scene_B=self.cases.scene_R[index].tolist(),
            profile={name: values_R[index] for name, values_R in self._profile.items()},
        )

    def __getitem__(self, rows: Sequence[int] | NDArray[np.int64]) -> CaseBatch:
        """Return the batch of some rows."""
        index = np.asarray(rows, dtype=np.int64)
        items_B1 = self.cases.item_R[index][:, None]
        labels = self.cases.labels_RT[index], self.cases.position_R[index]
        if self.dense_RN is None:
            inputs = []
            for piece in row_chunks(len(index), FEATURE_BATCH_SIZE) or [index]:
                side = self.features.prepare_users(self.user_batch(index[piece]))
                inputs.append((side.inputs, self.features.prepare_candidates(side, items_B1[piece])))
            users, candidates = map(concatenate_inputs, zip(*inputs, strict=True))
            return _case_batch(users, candidates, *labels)
        users = self.user_batch(index, self._sequence_lengths(index))
        return _case_batch(*self._precomputed_inputs(users, items_B1, index), *labels)

    def _sequence_lengths(self, index: NDArray[np.int64]) -> dict[str, int | None]:
        """Return the numbers of newest events to read of each sequence (None: all).

        All are read if some are removed afterward; the features keep the newest of the others.
        """
        views, left_out = self.features.sequence_views, self._exclusions.of_users(self.user_ids_R[index].tolist())
        return dict.fromkeys(views) if any(len(one) for one in left_out) else views

    def precompute_dense_features(self, processes: int) -> None:
        """Compute the dense features of all cases in worker processes."""
        pieces = row_chunks(len(self), FEATURE_BATCH_SIZE)
        found = parallel_map(self._compute_dense_features, pieces, "dense features", processes)
        for rows, part in zip(pieces, found, strict=True):
            if not rows[0]:
                self._widths = tuple(features.shape[1] for features in part)
                rows_RN = np.empty((len(self), sum(self._widths)), np.float32)
            rows_RN[rows] = np.concatenate(part, axis=1)
        self.dense_RN = rows_RN

    def _compute_dense_features(self, rows: NDArray[np.int64]) -> tuple[Floats, ...]:
        batch = self[rows]
        dense = batch.users.context_BU, batch.candidates.features_BCF[:, 0], batch.candidates.matches_BCM[:, 0]
        # Arrays, not tensors: each tensor would pass between processes through a file.
        return tuple(features.numpy() for features in dense)

    def dense_only_batch(self, rows: Sequence[int] | NDArray[np.int64]) -> CaseBatch:
        """Return a batch of dense features alone: without events, and with padding (0) as candidate.

        A ranker's logits for it depend on the dense features only. Requires `precompute_dense_features`.
        """
        index = np.asarray(rows, dtype=np.int64)
        # One event is read and then dropped: only the reader has the columns of a sequence.
        users = self.user_batch(index, dict.fromkeys(self.features.sequence_views, 1))
        users = replace(users, views={view: batch.newest(0) for view, batch in users.views.items()})
        labels = self.cases.labels_RT[index], self.cases.position_R[index]
        return _case_batch(*self._precomputed_inputs(users, np.zeros((len(index), 1), dtype=np.int64), index), *labels)

    def _precomputed_inputs(
        self, users: UserBatch, items_B1: NDArray[np.int64], index: NDArray[np.int64]
    ) -> tuple[UserInputs, CandidateInputs]:
        assert self.dense_RN is not None  # noqa: S101  # both callers require it
        context_BU, own_BF, match_BM = np.split(self.dense_RN[index], np.cumsum(self._widths)[:-1], axis=1)
        candidates = CandidateInputs(*self.features.track_artist_codes(items_B1), own_BF[:, None], match_BM[:, None])
        return self.features.prepare_users(users, context_BU).inputs, candidates

    def training_rows(self, step: int, batch_size: int, seed: int) -> NDArray[np.int64]:
        """Return the rows of training batch `step`; each epoch visits all in an order that depends on seed and epoch only."""
        per_epoch = -(-len(self) // batch_size)
        epoch, number = divmod(step, per_epoch)
        if self._order[0] != (seed, epoch):
            self._order = ((seed, epoch), np.random.default_rng([seed, epoch]).permutation(len(self)))
        # Sorted, because neighboring cases share their history in memory; order within a batch has no effect.
        return np.sort(self._order[1][number * batch_size : (number + 1) * batch_size])


def load_track_statistics(data: TrainingData) -> TrackStatistics:
    """Return the mart by vocabulary index, with all columns that rankers read."""
    rows = pl.read_parquet(data.marts / "track_statistics.parquet")
    further = further_statistics_fields(rows.schema)
    return TrackStatistics.build(rows, data.vocabulary.encode(rows["track_id"].to_list()), further)


def load_profiles(
    offline: OfflineFeatures, service: str, user_ids: NDArray[Any], times: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Return the user features of a service for every (user, time in µs), as known before that time.

    Each (user, day) is read once: profiles change at midnight only, so all requests of a day have the same values.
    """
    if not offline.contract(service).features or not len(times):
        return {}
    day = times // DAY_US
    _, first, inverse = np.unique(
        np.stack([np.unique(user_ids, return_inverse=True)[1], day]), axis=1, return_index=True, return_inverse=True
    )
    profile = offline.load_profile(service, user_ids[first].tolist(), times[first])
    return {name: values[inverse.ravel()] for name, values in profile.items()}
