"""The long_short channel: repeated tracks by a learned repeat score, and new tracks by gated long- and short-term
interest.

The network and its papers are described in `training.networks.long_short`, the features of the repeat score in
`recommender.recall.repeat_features`. A fraction of the candidates, tuned on validation, is new to the user; the rest
are tracks of the history by repeat score.

Legend: B requests (or sessions), K candidates, M repeat items, H items of the history, T targets of a session, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from recommender.array_types import Ints
from recommender.recall.long_short.program import LongShortConfig, LongShortProgram
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.play_archive import plays_in_view
from recommender.recall.reason import RECENT_ACTIVITY, Reason, repeat_reasons, track_phrase
from recommender.recall.repeat_features import FEATURE_NAMES, PlayTable, candidate_features
from recommender.recall.sequence_merge import interleave, merge_clicks
from recommender.user.user_batch import HISTORY_VIEW, UserBatch, is_listened, kept_items
from sequences.sequence_batch import FIRST_CODE

DECAY, SKIP = 0.7, 0.3
"""Decay of the activation that repeat items are chosen by, and the weight of a skip relative to a listen."""


def repeat_items(
    users: UserBatch, config: LongShortConfig, artist_of_track_V: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each request: the most active tracks of the history view [M] and their features [M, F]."""
    for plays, request_at in zip(plays_in_view(users), users.request_at_B.tolist(), strict=True):
        table = PlayTable.of(plays, request_at, len(artist_of_track_V))
        order_M, activation_T = table.most_active(DECAY, SKIP, config.repeats.max_repeat_items)
        feature_MF = np.zeros((0, len(FEATURE_NAMES)), dtype=np.float32)
        if len(order_M):
            feature_MF = candidate_features(table, order_M, activation_T, artist_of_track_V, SKIP)
        yield table.item_T[order_M], feature_MF


KEEPS_LISTENING = 3
"""Listens from which on a user keeps listening to a track."""


class LongShort(NeuralChannel[LongShortConfig]):
    """Tracks of the history by repeat score, interleaved with new tracks by the gated interest vector."""

    name: ClassVar[str] = "long_short"
    feature_service: ClassVar[str] = "long_short"
    config_class = LongShortConfig
    program_class = LongShortProgram

    @property
    def discovery_share(self) -> float:
        """Fraction of the candidates that is new to the user; the middle of the grid before it is tuned."""
        config = self.resolved_config
        grid = config.discovery_share_grid
        return grid[len(grid) // 2] if config.discovery_share is None else config.discovery_share

    def recall(self, users: UserBatch, k: int) -> Ints:
        """`k` items, `discovery_share` of them new to the user; none for a request without a known event."""
        return merge_lists(self.candidate_lists(users, k), self.discovery_share, k)

    def candidate_lists(self, users: UserBatch, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Repeated and new tracks before they are merged, each best first, 0 = none."""
        repeat_BK, new_BK = np.zeros((len(users), k), dtype=np.int64), np.zeros((len(users), 0), dtype=np.int64)
        queries = []
        for row, (query_1D, item_M, score_M) in enumerate(self._scores(users)):
            order = np.lexsort((item_M, -score_M))[:k]
            repeat_BK[row, : len(order)] = item_M[order]
            queries.append(query_1D)
        if self.resolved_config.discovery_share != 0 and queries:  # no search is needed if no new tracks are returned
            threshold_B = np.full(len(users), self.cold_item_threshold("new"))
            new_BK, _ = self.index.search(np.stack(queries), k, users.history_items_BH, threshold_B)
            length_B = merge_clicks(users, self.resolved_config.encoder.history_length).length_B
            new_BK *= ((length_B > 0) | (repeat_BK > 0).any(1))[:, None]
        return repeat_BK, new_BK

    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One query [B, 1, D] of the task `new` for every request."""
        return np.arange(len(users)), {"new": np.stack([query_1D for query_1D, _, _ in self._scores(users)])}

    def _scores(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each request: its query for new tracks [1, D], the tracks of its history [M] and their repeat scores [M]."""
        config, artist_V = self.resolved_config, self.vocabulary.artist_of_track_V
        merged = merge_clicks(users, config.encoder.history_length)
        for row, (item_M, feature_MF) in enumerate(repeat_items(users, config, artist_V)):
            now_us = int(users.request_at_B[row])
            item_L, behavior_L, ended_L, gap_L = merged.events(row)
            query_gap = now_us - int(ended_L[-1]) if len(ended_L) else 0
            query_1D, score_M = self.program.score((item_L, behavior_L, gap_L), query_gap, item_M, feature_MF)
            yield query_1D, item_M, score_M

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """When and how often each item was listened to; for a new track, the track of the history closest to it."""
        history = user.views[HISTORY_VIEW]
        is_listened_L = is_listened(history)[0]
        track_L, ended_L = (history.columns[name][0][is_listened_L] for name in ("track_id", "ended_at"))
        found = repeat_reasons(track_L, ended_L, items, int(user.request_at_B[0]))
        others = [item for item in items if item not in found]
        found |= self._closest_track_reasons(others, Counter(track_L.tolist()), user)
        return [found[item] for item in items]

    def _closest_track_reasons(
        self, items: list[int], listens: Mapping[int, int], user: UserBatch
    ) -> dict[int, Reason]:
        """The listened or else liked track that is closest to each item."""
        known = np.array(sorted(listens or kept_items(user.views)), dtype=np.int64)
        known = known[known >= FIRST_CODE]
        if not len(known) or not items:
            return dict.fromkeys(items, RECENT_ACTIVITY)
        vector_ND, vector_MD = self.item_vectors(known), self.item_vectors(items)
        closest_M = known[(vector_MD @ vector_ND.T).argmax(1)].tolist()
        return {
            item: _reason_of_track(track_phrase(self.vocabulary, closest), listens.get(closest, 0))
            for item, closest in zip(items, closest_M, strict=True)
        }


def merge_lists(lists: tuple[np.ndarray, np.ndarray], share: float, k: int) -> np.ndarray:
    """`k` items of both lists, `share` of them new; with share 0, new tracks do not fill up the list either."""
    repeat_BK, new_BK = lists
    return interleave(repeat_BK, new_BK if share > 0 else new_BK[:, :0], share, k)


def _reason_of_track(track: Reason | str, listens: int) -> Reason:
    """The reason that names a track with so many listens; 0 for one that was only liked."""
    if not listens:
        return Reason("liked_track", {"track": track})
    if listens >= KEEPS_LISTENING:
        return Reason("keeps_listening_to_track", {"track": track})
    return Reason("listened_to_track", {"track": track})
