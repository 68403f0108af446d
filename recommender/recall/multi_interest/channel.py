"""The multi_interest channel: several interest vectors per user from a long history, candidates and a name for each.

The network and its papers are described in `training.networks.multi_interest`. Differences from MIND and ComiRec: a target
is one of the next `horizon` listened tracks instead of the very next one; interests with similar vectors are merged and
searched once; and every interest has a second query for tracks that are new to the user, which fill `discovery_share` of
the candidates, as in the realtime channel.

Legend: B requests, L listens, K interests (and k candidates), H items of the history, D width, V vocabulary, F facet
values, N tracks; in training, B windows, L events, M targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from recommender.array_types import Ints
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.multi_interest.program import MultiInterestConfig, MultiInterestProgram, UserInterests
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.next_item import TASKS
from recommender.recall.reason import NEAR_INTERESTS, RECENT_ACTIVITY, Reason
from recommender.recall.sequence_merge import POSITIVE_BEHAVIORS
from recommender.user.user_batch import HISTORY_VIEW, LISTEN_BEHAVIORS, UserBatch, has_behavior, is_listened
from sequences.sequence_batch import FIRST_CODE

MAX_NAME_WORDS = 3
MIN_FACET_SHARE = 0.3
"""A facet value is used in the name of an interest only if at least this fraction of the tracks has it."""


@dataclass(frozen=True)
class Interest:
    """One interest of a user: its display name, its fraction of the listens, and its distinct tracks (item codes)."""

    name: str
    share: float
    items: np.ndarray


class MultiInterest(NeuralChannel[MultiInterestConfig]):
    """Nearest items to every interest, merged by best score. `interests` lists the interests for display.

    The history is excluded from the queries for new tracks only: the papers return the nearest items, but in music most
    of these are known to the user.
    """

    name: ClassVar[str] = "multi_interest"
    feature_service: ClassVar[str] = "multi_interest"
    config_class = MultiInterestConfig
    program_class = MultiInterestProgram
    similar_items = NeuralChannel.nearest_items

    @cached_property
    def interest_names(self) -> InterestNames:
        """Names of sets of tracks."""
        facet_values: list[str] = self.metadata.get("facet_values", [])
        return InterestNames(facet_values, self.weights["items.codes.facet_VF"], self.vocabulary)

    def recall(self, users: UserBatch, k: int) -> Ints:
        """`k` items, `discovery_share` of them new to the user; none for a request without a known listen."""
        return self.search_tasks(users, k, self.resolved_config.discovery_share)

    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One query per interest and task [B, K, D] for each request with a known listen.

        A request with fewer interests than others repeats the query of its first one.
        """
        vectors = [one.vector_KD for one in self._interests(users)]
        rows, most = [row for row, vector_KD in enumerate(vectors) if len(vector_KD)], max(map(len, vectors))
        query = {task: np.empty((len(rows), most, vectors[0].shape[1]), np.float32) for task in TASKS}
        for task, query_RKD in query.items():
            for number, row in enumerate(rows):
                found_KD = self.program.query(task, vectors[row])
                query_RKD[number] = found_KD[0]
                query_RKD[number, : len(found_KD)] = found_KD
        return np.array(rows, dtype=np.int64), query

    def _interests(self, users: UserBatch) -> list[UserInterests]:
        def extract() -> list[UserInterests]:
            listens = recent_listens(users, self.resolved_config.encoder.history_length)
            return [self.program.interests(item_L[item_L > 0]) for item_L in listens]

        # During training the weights change between calls with the same requests, and each of them has its own program.
        return users.get_or_compute(self.program, extract)

    def interests(self, user: UserBatch) -> list[Interest]:
        """Interests of the single request `user`, largest first."""
        [(item_L, _, interest_L)] = self._interests(user)
        numbers, counts = np.unique(interest_L, return_counts=True)
        found = [
            (np.unique(item_L[interest_L == number]), int(count)) for number, count in zip(numbers, counts, strict=True)
        ]
        found.sort(key=lambda items_and_count: -items_and_count[1])
        total = int(counts.sum())
        return [Interest(self.interest_names.name(items), count / total, items) for items, count in found]

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """What each of `items` has in common with the interest that is closest to it."""
        [(item_L, vector_KD, interest_L)] = self._interests(user)
        if not len(vector_KD) or not len(items):
            return [RECENT_ACTIVITY] * len(items)
        history, plays = set(user.history_items.items.tolist()), user.views[HISTORY_VIEW]
        listened = set(plays.columns["track_id"][0][is_listened(plays)[0]].tolist())
        is_new_N1 = np.array([[item not in history] for item in items])
        vector_ND = self.item_vectors(items)
        next_NK, new_NK = (vector_ND @ self.program.query(task, vector_KD).T for task in ("next", "new"))
        best_N = np.where(is_new_N1, new_NK, next_NK).argmax(1).tolist()
        named: dict[int, tuple[bool, tuple[str, ...]]] = {}
        for best in set(best_N):
            items_N = item_L[interest_L == best]
            heard_N = items_N[np.array([item in listened for item in items_N.tolist()], dtype=bool)]
            is_heard = len(heard_N) > 0
            named[best] = is_heard, self.interest_names.name_parts(heard_N if is_heard else items_N)
        return [self._interest_reason(item, *named[best]) for item, best in zip(items, best_N, strict=True)]

    def _interest_reason(self, item: int, is_heard: bool, interest: tuple[str, ...]) -> Reason:
        """What an item has in common with an interest of this name, whose tracks the user has heard or else only liked."""
        values = self.interest_names.values(item)
        if shared := tuple(name for name in interest if name in values):
            parameters = {"interest": shared}
            return Reason("listens_to_interest", parameters) if is_heard else Reason("likes_interest", parameters)
        return NEAR_INTERESTS if is_heard else RECENT_ACTIVITY


class InterestNames:
    """Display names of interests (sets of tracks) by facet values, e.g. "Cantonese · britpop · electronic".

    Args:
        value_F: Values of all facets.
        facet_VF: Facet values of each track as positions in `value_F` plus 1; 0 = none.
        vocabulary: Names of artists and tracks.
    """

    def __init__(self, value_F: list[str], facet_VF: np.ndarray, vocabulary: Vocabulary) -> None:
        self.value_F, self.facet_VF, self.vocabulary = value_F, facet_VF, vocabulary
        self._catalog_share_F = self._shares(np.arange(FIRST_CODE, len(facet_VF)))

    def name(self, item_N: np.ndarray) -> str:
        """The name in English, e.g. "Cantonese · britpop"."""
        return " · ".join(self.name_parts(item_N))

    def name_parts(self, item_N: np.ndarray) -> tuple[str, ...]:
        """Facet values that are more frequent here than in the catalog, language first; without facets, the most
        frequent artists.
        """
        share_F = self._shares(item_N)
        score_F = np.where(
            share_F >= MIN_FACET_SHARE, share_F * np.log(np.maximum(share_F / self._catalog_share_F, 1e-9)), 0
        )
        best = (-score_F).argsort(kind="stable")[:MAX_NAME_WORDS]
        words = [self.value_F[value] for value in sorted(best) if score_F[value] > 0]
        return tuple(words or self._artists(item_N))

    def values(self, item: int) -> set[str]:
        """Facet values of a track, and its main artist."""
        facets = [self.value_F[value - 1] for value in self.facet_VF[item] if value > 0]
        return {*facets, str(self.vocabulary.artist_names_A[self.vocabulary.artist_of_track_V[item]])}

    def _shares(self, item_N: np.ndarray) -> np.ndarray:
        """Fraction of the tracks with any facet that has each value [F]; slightly above 0 for a value that none has."""
        facet_NF = self.facet_VF[item_N]
        count_F = np.bincount(facet_NF[facet_NF > 0], minlength=len(self.value_F) + 1)[1:]
        return (count_F + 1e-9) / max(int((facet_NF > 0).any(1).sum()), 1)

    def _artists(self, item_N: np.ndarray) -> list[str]:
        artist_N = self.vocabulary.artist_of_track_V[item_N]
        artist, count = np.unique(artist_N[artist_N >= FIRST_CODE], return_counts=True)
        best = artist[np.argsort(-count, kind="stable")[:MAX_NAME_WORDS]]
        names = [str(self.vocabulary.artist_names_A[one]) for one in best]
        return [name for name in names if name] or [self.vocabulary.describe(int(item_N[-1]))]


def recent_listens(users: UserBatch, length: int) -> np.ndarray:
    """The newest `length` known tracks that each user listened to or gave positive feedback on, oldest first.

    Returns:
        Item codes [B, L], padded with 0 at the beginning.
    """
    history, recent = users.views[HISTORY_VIEW], users.views["recent_events"]
    feedback = [name for name in POSITIVE_BEHAVIORS if name not in LISTEN_BEHAVIORS]
    item_BL = np.concatenate([history.columns["track_id"], recent.columns["track_id"]], axis=1)
    ended_BL = np.concatenate([history.columns["ended_at"], recent.columns["ended_at"]], axis=1)
    is_positive_BL = np.concatenate([is_listened(history), has_behavior(recent, feedback)], axis=1)
    is_kept_BL = is_positive_BL & (item_BL >= FIRST_CODE)
    item_BL[~is_kept_BL], ended_BL[~is_kept_BL] = 0, -1
    newest_BL = ended_BL.argsort(axis=1, kind="stable")[:, -length:]
    return item_BL[np.arange(len(item_BL))[:, None], newest_BL]
