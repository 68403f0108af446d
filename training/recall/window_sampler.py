"""Training batches for sequence models: windows of the event table in which every position has a target.

Legend: E events, U users, B windows, L events of a window, V vocabulary. Targets of a position: `next`, one of the
next `horizon` tracks listened to; `new`, one of the next `horizon` tracks heard for the first time (0 where there is
none). Skipped tracks are inputs, never targets; `skip` is one of those among the next `horizon`. Knows nothing about torch modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sequences import behaviours
from sequences.batch import FIRST_CODE
from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.recall.realtime.transitions import Histories

WindowKind = Literal["any", "full"]
POSITIVE_BEHAVIOURS = ("full_play", "play", "like", "collect", "share", "download")


@dataclass(frozen=True)
class Windows:
    """B windows, padded right with 0. `gap_BL`: µs from the event before (0 for a user's first); `ahead_BL`: µs to the
    next event's beginning, the moment at which the target is predicted.
    """

    item_BL: np.ndarray
    behaviour_BL: np.ndarray
    gap_BL: np.ndarray
    query_gap_BL: np.ndarray
    next_BL: np.ndarray
    new_BL: np.ndarray
    skip_BL: np.ndarray


class WindowSampler:
    """Windows of what `data` may be learned from. Window number (seed, step) is always the same one.

    A user is drawn with probability proportional to events ** `balance`: evaluation counts users alike, the log does
    not. `kind`: the last event is `any`, or one of those with a `full` window up to it, the newest of a user who has
    fewer.
    """

    def __init__(
        self, data: TrainingData, length: int, horizon: int, user_sampling_exponent: float, kind: WindowKind = "any"
    ) -> None:
        reader = data.reader("recent_events")
        self.length, self.horizon, self.kind = length, horizon, kind
        self.item_E, self.behaviour_E = reader.columns["track_id"], reader.columns["behaviour"]
        began_E, ended_E = reader.columns["occurred_at"], reader.columns["ended_at"]
        self.first_U = reader.offset_U1[:-1]
        last_U = _last_train_time(data, reader.users)
        is_before_end = reader.known_at_E <= np.repeat(last_U, np.diff(reader.offset_U1))
        user_E = np.repeat(np.arange(len(reader.users), dtype=np.int32), np.diff(reader.offset_U1))
        self.end_U = self.first_U + np.bincount(user_E, weights=is_before_end, minlength=len(reader.users)).astype(
            np.int64
        )
        self.gap_E = np.maximum(began_E - np.concatenate([[0], ended_E[:-1]]), 0) if len(ended_E) else ended_E
        self.gap_E[self.first_U] = 0
        code = behaviours.load_behaviours().encoder
        is_positive = (
            np.isin(self.behaviour_E, [code[name] for name in POSITIVE_BEHAVIOURS])
            & is_before_end
            & (self.item_E >= FIRST_CODE)
        )
        is_skip = (self.behaviour_E == code["skip"]) & is_before_end & (self.item_E >= FIRST_CODE)
        key = user_E * np.int64(len(data.vocabulary)) + self.item_E
        is_first = np.zeros(len(key), dtype=bool)
        is_first[np.unique(key, return_index=True)[1]] = True
        self.listen_targets = FutureTargetSampler(is_positive)
        self.discovery_targets = FutureTargetSampler(is_positive & is_first)
        self.skip_targets = FutureTargetSampler(is_skip)
        events_U = self.end_U - self.first_U
        weight_U = np.where(events_U > 1, events_U.astype(np.float64) ** user_sampling_exponent, 0)
        self.probability_U = weight_U / max(weight_U.sum(), 1e-12)
        share = np.bincount(self.item_E[is_positive], weights=(weight_U / np.maximum(events_U, 1))[user_E[is_positive]])
        self.target_share_V = np.zeros(len(data.vocabulary))
        self.target_share_V[: len(share)] = share / max(share.sum(), 1e-12)
        self.count_V = np.bincount(self.item_E[is_before_end], minlength=len(data.vocabulary))

    def __len__(self) -> int:
        """Number of events to learn from; 0: nothing can be learned."""
        return int((self.end_U - self.first_U).sum()) if self.probability_U.sum() > 0 else 0

    @property
    def histories(self) -> Histories:
        """What each user listened to."""
        place_P = self.listen_targets.position_M
        offset_U1 = np.searchsorted(place_P, np.append(self.first_U, len(self.item_E)))
        return Histories(self.item_E[place_P], offset_U1)

    def windows(self, seed: int, step: int, batch: int, rows: slice = slice(None)) -> Windows:
        """The `batch` windows of a step, or some `rows` of them: only these are read."""
        generator = np.random.default_rng((seed, step))
        user_B = generator.choice(len(self.first_U), size=batch, p=self.probability_U)
        first_B, end_B = self.first_U[user_B], self.end_U[user_B]
        # A window's last event is drawn evenly; the window reaches back as far as it may.
        least_B = np.minimum(first_B + self.length, end_B) - 1 if self.kind == "full" else first_B
        last_B = least_B + (generator.random(batch) * (end_B - least_B)).astype(np.int64)
        pick = [generator.random((batch, self.length))[rows] for _ in range(3)]
        first_B, end_B, last_B = first_B[rows], end_B[rows], last_B[rows]
        start_B = np.maximum(first_B, last_B - self.length + 1)
        place_BL = start_B[:, None] + np.arange(self.length)
        is_event = place_BL <= last_B[:, None]
        safe_BL = np.minimum(place_BL, len(self.item_E) - 1)
        following_BL = np.minimum(safe_BL + 1, len(self.item_E) - 1)
        next_BL = self.listen_targets.sample_target(safe_BL, end_B[:, None], self.horizon, pick[0], self.item_E)
        new_BL = self.discovery_targets.sample_target(safe_BL, end_B[:, None], self.horizon, pick[1], self.item_E)
        skip_BL = self.skip_targets.sample_target(safe_BL, end_B[:, None], self.horizon, pick[2], self.item_E)
        columns = (
            self.item_E[safe_BL],
            self.behaviour_E[safe_BL],
            self.gap_E[safe_BL],
            self.gap_E[following_BL],
            next_BL,
            new_BL,
            skip_BL,
        )
        return Windows(*(np.where(is_event, column, np.int64(0)) for column in columns))


class FutureTargetSampler:
    """Of some marked events, those that follow a place."""

    def __init__(self, is_marked_E: np.ndarray) -> None:
        self.position_M = np.flatnonzero(is_marked_E)

    def sample_target(
        self, place: np.ndarray, end: np.ndarray, horizon: int, pick: np.ndarray, item_E: np.ndarray
    ) -> np.ndarray:
        """Item of one of the next `horizon` marked events before `end`, chosen by `pick` in 0..1 among those there
        are; 0: none.
        """
        if not len(self.position_M):
            return np.zeros_like(place)
        begin = np.searchsorted(self.position_M, place, side="right")
        stop = np.minimum(begin + horizon, np.searchsorted(self.position_M, end))
        chosen = np.minimum(begin + (pick * (stop - begin)).astype(np.int64), len(self.position_M) - 1)
        return np.where(stop > begin, item_E[self.position_M[chosen]], 0)


def _last_train_time(data: TrainingData, users: list[str]) -> np.ndarray:
    """For each user the `known_at` of their last `train` play; a user with none has nothing to learn from."""
    plays, never = data.plays, np.iinfo(np.int64).min
    is_train = plays.part_P == PARTS.index("train")
    last_U = np.full(len(data.user_ids_U), never)
    np.maximum.at(last_U, plays.user_P[is_train], plays.known_at_P[is_train])
    last_of = dict(zip(data.user_ids_U.tolist(), last_U.tolist(), strict=True))
    return np.array([last_of.get(user, never) for user in users], dtype=np.int64)
