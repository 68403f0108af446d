"""The realtime channel: user vectors computed at request time from the most recent plays and clicks.

A user tower (SASRec-style; see `training.networks.user_tower`) encodes the recent events, and two query heads retrieve
tracks that will be listened to and tracks that are new to the user, trained with a sampled softmax
(`training.recall.windows`). Differences from SASRec: a target is one of the next `horizon` listened tracks instead of the very
next play, because whole sessions are predicted; a second query retrieves tracks that are new to the user,
which fill `discovery_share` of the candidates.

Legend: B requests, L events, K candidates, H items of the history, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recommender.array_types import Ints
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.next_item import TASKS, NextItemConfig, NextItemProgram
from recommender.recall.reason import JUST_NOW_US, LIKED, RECENT_ACTIVITY, Reason, track_phrase
from recommender.recall.sequence_merge import merge_clicks
from recommender.user.user_batch import KEPT_BEHAVIORS, RECENT_VIEW, UserBatch, has_behavior, is_listened
from sequences.sequence_batch import FIRST_CODE

PLAYED_RECENTLY, PLAYED_JUST_NOW = Reason("played_recently"), Reason("played_just_now")
NAMING_CODES = {
    PLAYED_RECENTLY: "played_track_recently",
    PLAYED_JUST_NOW: "played_track_just_now",
    LIKED: "liked_track",
}
"""Reason to repeat a track → code of the reason that names it for another one."""


@dataclass(frozen=True)
class RealtimeConfig(NextItemConfig):
    """Configuration of the realtime channel; `training/recipes/small.yaml` says what its fields mean."""

    discovery_share: float


class Realtime(NeuralChannel[RealtimeConfig]):
    """Nearest items to two user vectors: one for the next listens, one for listens that are new to the user."""

    name: ClassVar[str] = "realtime"
    feature_service: ClassVar[str] = "realtime"
    config_class = RealtimeConfig
    program_class = NextItemProgram
    similar_items = NeuralChannel.nearest_items

    def recall(self, users: UserBatch, k: int) -> Ints:
        """`k` items, `discovery_share` of them new to the user; none for a request without a known event."""
        return self.search_tasks(users, k, self.resolved_config.discovery_share)

    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One query per task [B, 1, D] for each request with a known event."""
        merged, program = merge_clicks(users, self.resolved_config.encoder.history_length), self.program
        rows = merged.length_B.nonzero()[0]
        query = {task: np.empty((len(rows), 1, self.resolved_config.items.width), np.float32) for task in TASKS}
        for number, row in enumerate(rows.tolist()):
            (item_L, behavior_L, ended_L, gap_L), now_us = merged.events(row), int(users.request_at_B[row])
            state_1D = program.last_state(item_L, behavior_L, gap_L)
            for task, query_R1D in query.items():
                query_R1D[number] = program.query(task, state_1D, now_us - int(ended_L[-1]))
        return rows, query

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The recent track that is most similar to each of `items`."""
        recent = self.recent_items(user)
        if not recent:
            return [RECENT_ACTIVITY] * len(items)
        recent_L = np.array(list(recent), dtype=np.int64)
        vector_LD, vector_ND = self.item_vectors(recent_L), self.item_vectors(items)
        closest_N = recent_L[(vector_ND @ vector_LD.T).argmax(1)].tolist()
        return [
            recent[item] if item in recent else self.explain_by_track(closest, recent)
            for item, closest in zip(items, closest_N, strict=True)
        ]

    def explain_by_track(self, item: int, recent: Mapping[int, Reason]) -> Reason:
        """The reason that names an item of `recent_items`."""
        return Reason(NAMING_CODES[recent[item]], {"track": track_phrase(self.vocabulary, item)})

    def recent_items(self, user: UserBatch) -> dict[int, Reason]:
        """Known items that the single request `user` recently listened to, liked or saved, oldest first → the reason to repeat
        them.

        Only a play of the last hour is "just now", because the history of an export may end months before the request.
        """
        recent, found = user.views[RECENT_VIEW], dict[int, Reason]()
        is_kept_L, is_listened_L = has_behavior(recent, KEPT_BEHAVIORS)[0], is_listened(recent)[0]
        is_just_now_L = recent.columns["ended_at"][0] > user.request_at_B[0] - JUST_NOW_US
        for reason, is_named_L in (
            (LIKED, is_kept_L),
            (PLAYED_RECENTLY, is_listened_L),
            (PLAYED_JUST_NOW, is_listened_L & is_just_now_L),
        ):
            found |= dict.fromkeys(recent.columns["track_id"][0][is_named_L].tolist(), reason)
        return {item: reason for item, reason in found.items() if item >= FIRST_CODE}
