"""From a user batch and candidates to a ranker's inputs: the same code in training, evaluation and serving.

Shape letters: B requests, C candidates, L events, F candidate features, M match features, V vocabulary.
Knows nothing about where the sequences were read or which ranker reads the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sequences.batch import SequenceBatch
from sequences.sessions import is_in_current_session
from sequences.sessions import sessionize as session_numbers
from training.data.user_batch import UserBatch
from training.data.vocabulary import Vocabulary
from training.ranking.boosted_trees import BoostedTrees
from training.ranking.features.candidate_features import encode_track_statistics
from training.ranking.features.genre_search import GenreTallies
from training.ranking.features.history_match import (
    History,
    Outcomes,
    artist_lookup,
    encode_event_matches,
    encode_play_matches,
    match_history,
)
from training.ranking.features.history_search import Search
from training.ranking.features.search_registry import select_searches
from training.ranking.features.track_genres import TrackGenres
from training.ranking.features.track_statistics import TrackStatistics
from training.ranking.features.user_features import (
    DAY_US,
    HOUR_US,
    BehaviourCodes,
    compute_user_features,
    gap_bucket,
    long_history_listen_rates,
    ratio_bucket,
)
from training.ranking.inputs import CandidateInputs, EventInputs, UserInputs

Array = NDArray[Any]

RECENT_EVENTS, PLAYED_HISTORY, RECENT_NEGATIVES, UNCLICKED_IMPRESSIONS = (
    "recent_events",
    "played_history",
    "recent_negatives",
    "impressions_left",
)
VIEWS = (RECENT_EVENTS, PLAYED_HISTORY, RECENT_NEGATIVES)
"""What a ranker may read; without hard search it reads the first one only. LEFT is for those that read impressions."""
UNKNOWN = 1


@dataclass(frozen=True)
class SearchHistories:
    """The histories in which candidates are looked up, and what else is asked of the plays."""

    plays: History
    outcomes: Outcomes
    negative_events: History
    unclicked_impressions: History | None
    genre_tallies: GenreTallies | None
    searches: tuple[Search, ...] = ()


@dataclass(frozen=True)
class PreparedUsers:
    """A user batch prepared once: inputs of the ranker, and what matching candidates needs (None: they are not)."""

    inputs: UserInputs
    request_at_B: Array
    histories: SearchHistories | None


@dataclass(frozen=True)
class RankingFeatures:
    """How numbers are made, and what they are looked up in. `scene_code` numbers scenes from 2 (0 none, 1 unknown).

    Without `hard_search` the long histories are not read: there are no match features and no long run. `plays`: so many
    of the newest plays are a sequence of their own, with sessions (0: none). Without `negatives` neither
    these sequences nor the searched histories hold a skip or a rejection. `searches`: what hard search asks of the plays
    beside its own questions, names of `searches.SEARCHES`. `impressions`: so many of the newest tracks that were shown and
    left alone are a sequence too, and searched (0: none). `kinds`: what kind of music each track is, where candidates are
    told how such music went. `trees` read all these numbers and say something of their own.
    """

    artist_of_track_V: Array
    behaviours: BehaviourCodes
    scene_code: Mapping[str, int]
    statistics: TrackStatistics
    hard_search: bool
    plays: int = 0
    negative_feedback: bool = True
    searches: tuple[str, ...] = ()
    impressions: int = 0
    genres: TrackGenres | None = None
    trees: BoostedTrees | None = None

    @classmethod
    def from_vocabulary(
        cls,
        vocabulary: Vocabulary,
        statistics: TrackStatistics,
        hard_search: bool,
        plays: int = 0,
        negative_feedback: bool = True,
        searches: tuple[str, ...] = (),
        impressions: int = 0,
        genres: TrackGenres | None = None,
    ) -> RankingFeatures:
        """With the numbering of a vocabulary."""
        encoders = vocabulary.encoders()
        codes = BehaviourCodes.from_encoder(encoders["behaviour"])
        artist_of_track_V, scene_code = vocabulary.artist_of_track_V, encoders["scene"]
        numbers = (hard_search, plays, negative_feedback, searches, impressions, genres)
        return cls(artist_of_track_V, codes, scene_code, statistics, *numbers)

    @property
    def views(self) -> tuple[str, ...]:
        """The sequence views that are read."""
        left = (UNCLICKED_IMPRESSIONS,) if self.impressions else ()
        if self.hard_search:
            return VIEWS + left
        return (VIEWS[:2] if self.plays else VIEWS[:1]) + left

    @property
    def sequence_views(self) -> dict[str, int | None]:
        """Of the views, those that become sequences of events, and how many events of them are needed (None: all)."""
        some = {PLAYED_HISTORY: self.plays, UNCLICKED_IMPRESSIONS: self.impressions}
        return {RECENT_EVENTS: None} | {view: length for view, length in some.items() if length}

    def prepare_users(self, users: UserBatch, context_BU: Array | None = None) -> PreparedUsers:
        """Everything that depends on the request alone.

        `context_BU`: the user's numbers, where they were made before. Then nothing is searched, and only the views of
        `sequence_views` are read.

        Raises:
            KeyError: the batch lacks one of the sequence views that are read.
        """
        for view in self.views if context_BU is None else self.sequence_views:
            if view not in users.views:
                raise KeyError(f"the user batch has no view {view!r}; add it to the ranker's feature service")
        request_at_B = users.request_at_B
        batch = users.views[RECENT_EVENTS]
        mask_BL = _known_before(batch, request_at_B)
        columns = batch.columns
        track_BL = np.where(mask_BL, columns["track_id"], 0)
        _, artist_BL = self.track_artist_codes(track_BL)
        gap_BL = request_at_B[:, None] - columns["ended_at"]
        codes = [self.scene_code.get(scene, UNKNOWN) if scene else 0 for scene in users.scene_B] or [0] * len(users)
        searched = None
        if context_BU is None:
            context_BU = compute_user_features(self.behaviours, columns, mask_BL, request_at_B, users.profile)
            searched = self._build_histories(users) if self.hard_search else None
        if searched is not None:
            run_BU = long_history_listen_rates(searched.outcomes.outcome_BL, searched.plays.length_B)
            further = [column for search in searched.searches for column in search.compute_user_features()]
            context_BU = np.column_stack([context_BU, run_BU, *further]).astype(np.float32)
        plays, acts = self._event_sequences(users) if self.plays else (None, None)
        inputs = UserInputs(
            event_track_BL=_tensor(track_BL),
            event_artist_BL=_tensor(np.where(mask_BL, np.maximum(artist_BL, UNKNOWN), 0)),
            event_behaviour_BL=_tensor(np.where(mask_BL, columns["behaviour"], 0)),
            event_gap_BL=_tensor(np.where(mask_BL, gap_bucket(gap_BL), 0)),
            event_ratio_BL=_tensor(np.where(mask_BL, ratio_bucket(columns["played_ratio"]), 0)),
            mask_BL=torch.from_numpy(mask_BL),
            listened_BL=torch.from_numpy(mask_BL & np.isin(columns["behaviour"], self.behaviours.listened)),
            context_BU=torch.from_numpy(context_BU),
            hour_B=_tensor(request_at_B // HOUR_US % 24),
            weekday_B=_tensor(request_at_B // DAY_US % 7),
            scene_B=_tensor(np.array(codes, dtype=np.int64)),
            plays=plays,
            explicit_feedback=acts,
            unclicked_impressions=self._impression_inputs(users.views[UNCLICKED_IMPRESSIONS], request_at_B)
            if self.impressions
            else None,
        )
        return PreparedUsers(inputs, request_at_B, searched)

    def track_artist_codes(self, items: Array) -> tuple[Array, Array]:
        """Codes of tracks and of their artists [...]; an index outside the vocabulary counts as unknown, 0 as none."""
        is_inside = (items >= 0) & (items < len(self.artist_of_track_V))
        items = np.where(is_inside, items, UNKNOWN).astype(np.int64)
        return items, self.artist_of_track_V[items].astype(np.int64)

    def prepare_candidates(self, side: PreparedUsers, items_BC: Array) -> CandidateInputs:
        """The candidates' numbers; an index outside the vocabulary counts as unknown, 0 as no candidate."""
        items_BC, artist_BC = self.track_artist_codes(items_BC)
        # The unknown matches nothing: two unknown tracks need not be the same one.
        track_BC = np.where(items_BC > UNKNOWN, items_BC, -2).astype(np.int32)
        maker_BC = np.where(artist_BC > UNKNOWN, artist_BC, -2).astype(np.int32)
        at_B = side.request_at_B
        own = [*encode_track_statistics(*self.statistics.lookup_before(items_BC, at_B)), items_BC <= UNKNOWN]
        matches_BCM = torch.zeros((*items_BC.shape, 0))
        if (histories := side.histories) is not None:
            found = match_history(histories.plays, track_BC, maker_BC)
            columns = encode_play_matches(histories.plays, histories.outcomes, found, at_B)
            for history in (histories.negative_events, histories.unclicked_impressions):
                if history is not None:
                    columns += encode_event_matches(history, match_history(history, track_BC, maker_BC), at_B)
            if histories.genre_tallies is not None:
                columns += histories.genre_tallies.compute_candidate_features(items_BC)
            for search in histories.searches:
                columns += search.compute_candidate_features(found)
            matches_BCM = _stacked(columns)
        own_BCF, trees_BC = _stacked(own), None
        if self.trees is not None:
            numbers = side.inputs.context_BU, own_BCF, matches_BCM
            trees_BC = torch.from_numpy(self.trees.predict_logits(*(part.numpy() for part in numbers)))
        return CandidateInputs(_tensor(items_BC), _tensor(artist_BC), own_BCF, matches_BCM, trees_BC)

    def _event_sequences(self, users: UserBatch) -> tuple[EventInputs, EventInputs]:
        """The newest plays, and the recent events that are no plays: what domains and sessions are made of."""
        recent, request_at_B = users.views[RECENT_EVENTS], users.request_at_B
        acts = recent.where(~np.isin(recent.columns["behaviour"], self.behaviours.play_codes))
        return (
            self._event_inputs(self._filter_feedback(users.views[PLAYED_HISTORY]).newest(self.plays), request_at_B),
            self._event_inputs(self._filter_feedback(acts), request_at_B),
        )

    def _impression_inputs(self, batch: SequenceBatch, request_at_B: Array) -> EventInputs:
        """What was shown and left alone: nothing of it was played, and it is in no session."""
        batch = batch.newest(self.impressions)
        mask_BL, track_BL = _known_before(batch, request_at_B), batch.columns["track_id"]
        _, artist_BL = self.track_artist_codes(track_BL)
        gap_BL = gap_bucket(request_at_B[:, None] - batch.columns["ended_at"])
        parts = (track_BL, np.maximum(artist_BL, UNKNOWN), batch.columns["behaviour"], gap_BL, 0, 0)
        return EventInputs(*(_tensor(np.where(mask_BL, part, 0)) for part in parts))

    def _event_inputs(self, batch: SequenceBatch, request_at_B: Array) -> EventInputs:
        mask_BL = _known_before(batch, request_at_B)
        columns = batch.columns
        _, artist_BL = self.track_artist_codes(columns["track_id"])
        session_BL = session_numbers(batch)
        parts = (
            columns["track_id"],
            np.maximum(artist_BL, UNKNOWN),
            columns["behaviour"],
            gap_bucket(request_at_B[:, None] - columns["ended_at"]),
            ratio_bucket(columns["played_ratio"]),
            session_BL.max(axis=1, initial=0, keepdims=True) - session_BL + 1,
        )
        return EventInputs(*(_tensor(np.where(mask_BL, part, 0)) for part in parts))

    def _filter_feedback(self, batch: SequenceBatch) -> SequenceBatch:
        """The batch, or what is left of it for a ranker that sees no negative behaviour."""
        return (
            batch
            if self.negative_feedback
            else batch.where(~np.isin(batch.columns["behaviour"], self.behaviours.negative))
        )

    def _build_histories(self, users: UserBatch) -> SearchHistories:
        batch, request_at_B = self._filter_feedback(users.views[PLAYED_HISTORY]), users.request_at_B
        mask_BL = _known_before(batch, request_at_B)
        behaviour_BL = np.where(mask_BL, batch.columns["behaviour"], 0)
        outcome_BL = self.behaviours.outcome(behaviour_BL)
        ratio_BL = np.where(mask_BL, batch.columns["played_ratio"], 0)
        in_session_BL = is_in_current_session(batch, mask_BL.sum(1), request_at_B)
        negative, left = (
            self._filter_feedback(users.views[RECENT_NEGATIVES]),
            users.views[UNCLICKED_IMPRESSIONS] if self.impressions else None,
        )
        played, outcomes = self._history(batch, mask_BL), Outcomes(outcome_BL, ratio_BL, in_session_BL)
        return SearchHistories(
            played,
            outcomes,
            self._history(negative, _known_before(negative, request_at_B)),
            None if left is None else self._history(left, _known_before(left, request_at_B)),
            None if self.genres is None else GenreTallies(self.genres, played, outcomes),
            tuple(search(played, outcomes, request_at_B) for search in select_searches(self.searches)),
        )

    def _history(self, batch: SequenceBatch, mask_BL: Array) -> History:
        return History.from_events(
            batch.columns["track_id"], self._artist_lookup_V1, batch.columns["ended_at"], mask_BL
        )

    @cached_property
    def _artist_lookup_V1(self) -> Array:
        return artist_lookup(self.artist_of_track_V)


def _known_before(batch: SequenceBatch, request_at_B: Array) -> Array:
    # The readers give nothing later; an event at or after the request would be the answer itself, so it is cut here
    # again.
    mask_BL: Array = batch.mask_BL & (batch.columns["ended_at"] < request_at_B[:, None])
    return mask_BL


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def _stacked(columns: list[Array]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(column, np.float32) for column in columns], axis=2))
