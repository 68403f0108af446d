"""Ranker inputs from a user batch and candidates: the same code in training, evaluation and serving.

Does not depend on where the sequences were read or which ranker reads the result. Shape letters: B requests, C
candidates, L events, U user features, F candidate features, M match features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recommender.array_types import Array, Floats
from recommender.catalog.vocabulary import Vocabulary
from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.features.content_similarity import ContentRows, ContentSimilarity
from recommender.ranking.features.genre_search import GenreTallies, TrackGenres
from recommender.ranking.features.history_match import (
    History,
    Outcomes,
    artist_lookup,
    encode_events,
    encode_plays,
    find_occurrences,
)
from recommender.ranking.features.history_searches import (
    PlayHistory,
    fading_listen_rates,
    familiarity_listen_rates,
    match_fading,
    match_lately,
    match_situations,
    streak_of_outcomes,
)
from recommender.ranking.features.track_statistics import (
    CANDIDATE_FEATURES,
    COUNTS,
    TrackStatistics,
    encode_track_statistics,
    signed_log2,
)
from recommender.ranking.features.user_features import (
    DAY_US,
    HOUR_US,
    compute_user_features,
    encode_sequence,
    long_history_listen_rates,
    outcomes_of_behaviors,
)
from recommender.ranking.inputs import CandidateInputs, EventInputs, UserInputs
from recommender.ranking.ranker_config import FeatureConfig
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import SequenceBatch
from sequences.sessions import is_in_current_session
from sequences.sessions import sessionize as session_numbers

RECENT_EVENTS, PLAYED_HISTORY, RECENT_NEGATIVES, UNCLICKED_IMPRESSIONS = (
    "recent_events",
    "played_history",
    "recent_negatives",
    "impressions_left",
)
VIEWS = (RECENT_EVENTS, PLAYED_HISTORY, RECENT_NEGATIVES)
"""Sequence views of a ranker; without hard search it reads the first one only. Some read UNCLICKED_IMPRESSIONS too."""
UNKNOWN = 1


@dataclass(frozen=True)
class SearchHistories:
    """Histories in which candidates are looked up."""

    plays: PlayHistory
    negative_events: History
    unclicked_impressions: History | None
    genre_tallies: GenreTallies | None
    content_similarity: ContentSimilarity | None


@dataclass(frozen=True)
class PreparedUsers:
    """A prepared user batch: inputs of the ranker, and the histories to match candidates with (None: no matching)."""

    inputs: UserInputs
    request_at_B: Array
    histories: SearchHistories | None


@dataclass(frozen=True)
class RankingFeatures:
    """Computes the inputs of a ranker; fields that a ranker does not read are switched off by its config.

    Args:
        artist_of_track_V: Artist index of each track.
        outcome_V: Outcome of each behavior code, see `outcomes_of_behaviors`.
        scene_code: Codes of scenes, from 2 (0 none, 1 unknown).
        statistics: Popularity statistics of tracks.
        reads: What the ranker reads. Without hard search there are no match features and no long windows.
        genres: Genres of each track, for the genre features of candidates; None: no such features.
        content: Content of each track, for its similarity to plays; None: no such features.
        trees: Boosted trees over all dense features, whose logits are an input.
    """

    artist_of_track_V: Array
    outcome_V: Array
    scene_code: Mapping[str, int]
    statistics: TrackStatistics
    reads: FeatureConfig
    genres: TrackGenres | None = None
    content: ContentRows | None = None
    trees: BoostedTrees | None = None

    @classmethod
    def from_vocabulary(
        cls,
        vocabulary: Vocabulary,
        statistics: TrackStatistics,
        reads: FeatureConfig,
        genres: TrackGenres | None = None,
        content: ContentRows | None = None,
    ) -> RankingFeatures:
        """Return the features that a ranker of this config reads, with the codes of a vocabulary.

        `genres` are given if `reads.genres` is set, and `content` if `reads.content` is.
        """
        encoders = vocabulary.encoders()
        return cls(
            vocabulary.artist_of_track_V,
            outcomes_of_behaviors(encoders["behavior"]),
            encoders["scene"],
            statistics,
            reads,
            genres,
            content,
        )

    @property
    def views(self) -> tuple[str, ...]:
        """Sequence views that are read."""
        impressions = (UNCLICKED_IMPRESSIONS,) if self.reads.impressions else ()
        if self.reads.hard_search:
            return VIEWS + impressions
        return (VIEWS[:2] if self.reads.plays else VIEWS[:1]) + impressions

    @property
    def sequence_views(self) -> dict[str, int | None]:
        """Views that become event sequences, with the number of newest events that are needed (None: all)."""
        optional = {PLAYED_HISTORY: self.reads.plays, UNCLICKED_IMPRESSIONS: self.reads.impressions}
        return {RECENT_EVENTS: None} | {view: length for view, length in optional.items() if length}

    def prepare_users(self, users: UserBatch, context_BU: Array | None = None) -> PreparedUsers:
        """Return what depends on the request alone.

        Args:
            users: B requests.
            context_BU: Precomputed user features; then nothing is searched, and only `sequence_views` are read.
        """
        request_at_B, recent = users.request_at_B, users.views[RECENT_EVENTS]
        mask_BL = _known_before(recent, request_at_B)
        codes = [self.scene_code.get(scene, UNKNOWN) if scene else 0 for scene in users.scene_B] or [0] * len(users)
        histories = None
        if context_BU is None:
            histories = self._build_histories(users) if self.reads.hard_search else None
            context_BU = self._user_features(users, mask_BL, histories)
        listened_BL = mask_BL & (self.outcome_V.take(recent.columns["behavior"]) > 0)
        inputs = UserInputs(
            EventInputs(*self._event_codes(recent, mask_BL, request_at_B)),
            mask_BL,
            listened_BL,
            context_BU,
            request_at_B // HOUR_US % 24,
            request_at_B // DAY_US % 7,
            np.array(codes, dtype=np.int64),
            *self._event_sequences(users, mask_BL),
        )
        return PreparedUsers(inputs, request_at_B, histories)

    def _user_features(self, users: UserBatch, mask_BL: Array, histories: SearchHistories | None) -> Array:
        """Return [B, U]: recent events and profile, long windows, further profile fields, further searches."""
        recent = users.views[RECENT_EVENTS]
        parts = [compute_user_features(self.outcome_V, recent, mask_BL, users.request_at_B, users.profile)]
        if histories is not None:
            plays = histories.plays
            parts.append(long_history_listen_rates(plays.outcomes.outcome_BL, plays.plays.length_B))
        zeros_B = np.zeros(len(users), np.float32)
        parts += [signed_log2(users.profile.get(name, zeros_B))[:, None] for name in self.reads.profile_fields]
        if histories is not None and self.reads.searches:
            history = histories.plays
            parts += [streak_of_outcomes(history), fading_listen_rates(history), familiarity_listen_rates(history)]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")

    def track_artist_codes(self, items: Array) -> tuple[Array, Array]:
        """Return codes of tracks and their artists [...]; an index outside the vocabulary counts as unknown."""
        is_inside = (items >= 0) & (items < len(self.artist_of_track_V))
        items = np.where(is_inside, items, UNKNOWN).astype(np.int64)
        return items, self.artist_of_track_V[items].astype(np.int64)

    def prepare_candidates(self, side: PreparedUsers, items_BC: Array) -> CandidateInputs:
        """Return the candidates' inputs; an index outside the vocabulary counts as unknown, 0 as no candidate."""
        items_BC, artist_BC = self.track_artist_codes(items_BC)
        request_at_B = side.request_at_B
        counts_BCS, age_BC = self.statistics.lookup_before(items_BC, request_at_B)
        feature_BCF = np.empty((*items_BC.shape, CANDIDATE_FEATURES + counts_BCS.shape[2] - len(COUNTS)), np.float32)
        encode_track_statistics(counts_BCS, age_BC, feature_BCF)
        feature_BCF[..., CANDIDATE_FEATURES - 1] = items_BC <= UNKNOWN
        feature_BCF[..., CANDIDATE_FEATURES:] = signed_log2(counts_BCS[..., len(COUNTS) :])
        matches_BCM, tree_logits_BCT = np.zeros((*items_BC.shape, 0), np.float32), None
        if (histories := side.histories) is not None:
            matches_BCM = self._match_features(histories, items_BC, artist_BC)
        if self.trees is not None:
            tree_logits_BCT = self.trees.predict_logits(side.inputs.context_BU, feature_BCF, matches_BCM)
        return CandidateInputs(items_BC, artist_BC, feature_BCF, matches_BCM, tree_logits_BCT)

    def _event_sequences(self, users: UserBatch, mask_BL: Array) -> list[EventInputs | None]:
        """Return the newest plays, the recent events that are not plays (explicit feedback), and the unclicked impressions,
        whose played ratio and session are 0; None for what is not read.
        """
        recent, request_at_B = users.views[RECENT_EVENTS], users.request_at_B
        found: list[EventInputs | None] = [None] * 3
        if self.reads.plays:
            plays, behavior_BL = users.views[PLAYED_HISTORY], recent.columns["behavior"]
            known_BL, session_BL = _known_before(plays, request_at_B), session_numbers(plays)
            found[0] = EventInputs(*self._event_codes(plays, known_BL, request_at_B, self.reads.plays, session_BL))
            known_BL = mask_BL & (self.outcome_V.take(behavior_BL) == 0)
            found[1] = EventInputs(*self._event_codes(recent, known_BL, request_at_B))
        if self.reads.impressions:
            impressions = users.views[UNCLICKED_IMPRESSIONS]
            known_BL = _known_before(impressions, request_at_B)
            found[2] = EventInputs(*self._event_codes(impressions, known_BL, request_at_B, self.reads.impressions))
        return found

    def _event_codes(
        self,
        batch: SequenceBatch,
        is_kept_BL: Array,
        request_at_B: Array,
        length: int | None = None,
        session_BL: Array | None = None,
    ) -> Array:
        """Return the parts [X, B, L] of `EventInputs` of the newest `length` kept events, or of all."""
        columns, L = batch.columns, is_kept_BL.shape[1]
        ratio_BL = columns.get("played_ratio", np.zeros((len(is_kept_BL), 0), np.float32))
        events = columns["track_id"], columns["behavior"], columns["ended_at"], ratio_BL
        session_BL = columns["track_id"][:, :0] if session_BL is None else session_BL
        width = L if length is None else min(length, L)
        return encode_sequence(*events, session_BL, is_kept_BL, request_at_B, self._artist_lookup_V1, width)

    def _build_histories(self, users: UserBatch) -> SearchHistories:
        batch, request_at_B = users.views[PLAYED_HISTORY], users.request_at_B
        mask_BL = _known_before(batch, request_at_B)
        behavior_BL = np.where(mask_BL, batch.columns["behavior"], 0)
        outcome_BL = self.outcome_V.take(behavior_BL)
        ratio_BL = np.where(mask_BL, batch.columns["played_ratio"], 0)
        in_session_BL = is_in_current_session(batch, mask_BL.sum(1), request_at_B)
        negatives = users.views[RECENT_NEGATIVES]
        impressions = users.views[UNCLICKED_IMPRESSIONS] if self.reads.impressions else None
        plays, outcomes = self._history(batch, mask_BL), Outcomes(outcome_BL, ratio_BL, in_session_BL)
        return SearchHistories(
            PlayHistory(plays, outcomes, request_at_B),
            self._history(negatives, _known_before(negatives, request_at_B)),
            None if impressions is None else self._history(impressions, _known_before(impressions, request_at_B)),
            None if self.genres is None else GenreTallies(self.genres, plays, outcomes),
            None if self.content is None else ContentSimilarity(self.content, plays, outcomes, request_at_B),
        )

    def _match_features(self, histories: SearchHistories, items_BC: Array, artist_BC: Array) -> Floats:
        """Return the features of the candidates' occurrences in the histories [B, C, M]."""
        wanted_BSC = np.empty((len(items_BC), 2, items_BC.shape[1]), dtype=np.int32)
        wanted_BSC[:, 0], wanted_BSC[:, 1] = items_BC, artist_BC
        wanted_BSC[wanted_BSC <= UNKNOWN] = -2  # unknown tracks match nothing: two of them need not be the same track
        history, request_at_B = histories.plays, histories.plays.request_at_B
        matches = find_occurrences(history.plays.code_BSL, wanted_BSC)
        parts = [matches.to_columns(encode_plays(history.plays, history.outcomes, matches, request_at_B))]
        for events in (histories.negative_events, histories.unclicked_impressions):
            if events is not None:
                found = find_occurrences(events.code_BSL, wanted_BSC)
                parts.append(found.to_columns(encode_events(events, found, request_at_B)))
        if histories.genre_tallies is not None:
            parts.append(histories.genre_tallies.compute_candidate_features(items_BC))
        if histories.content_similarity is not None:
            parts.append(histories.content_similarity.compute_candidate_features(items_BC))
        if self.reads.searches:
            parts += [
                match_lately(history, matches),
                match_fading(history, matches),
                match_situations(history, matches),
            ]
        return np.concatenate(parts, axis=2, dtype=np.float32, casting="same_kind")

    def _history(self, batch: SequenceBatch, mask_BL: Array) -> History:
        return History.from_events(
            batch.columns["track_id"], self._artist_lookup_V1, batch.columns["ended_at"], mask_BL
        )

    @cached_property
    def _artist_lookup_V1(self) -> Array:
        return artist_lookup(self.artist_of_track_V)


def _known_before(batch: SequenceBatch, request_at_B: Array) -> Array:
    # The readers return nothing later; events at or after the request would leak the label, so they are masked again.
    return batch.mask_BL & (batch.columns["ended_at"] < request_at_B[:, None])
