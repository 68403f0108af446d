"""What was listened to, one after the other, becomes an interest that evolves towards the candidate.

Zhou et al. 2019, "Deep Interest Evolution Network for Click-Through Rate Prediction", 1809.03672: a GRU reads the
events (interest extractor), an auxiliary loss makes each of its states tell the next event from another one, and a
second GRU, its update gate scaled by the candidate's attention (AUGRU), reads the states (interest evolution).

The sequence is what was listened to among the recent events: plays that were not skipped, full or not. Full plays alone
would be a clearer signal, but a log without the tracks' durations has none; what a play was is in its event's embedding.
Differs: the event carries its behaviour, its age and how much was played beside its ids, and only the ids are to be told
by the auxiliary loss, whose negatives are tracks of other events of the batch, which makes them as popular as the
positives; it is a mean over steps, not a sum; the inner product of the paper's formula, not the network of its code.
Beside it stands the config's `hard_search` (`hard_search.py`), as in `target_attention`.

Shape letters: B requests, C candidates, L events, P listened events (time goes first), D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

from torch import Tensor

from training.engine import distributed
from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.inputs import UserInputs
from training.ranking.interest_evolution.layers import (
    AUGRU,
    CandidateAttention,
    gather_positions,
    left_align_positions,
    next_event_loss,
    sample_positions,
)
from training.ranking.ranker import Ranker, RankerConfig, UserState
from training.ranking.recipes import ranker_config


@dataclass(frozen=True)
class EvolutionState(UserState):
    """With the extractor's state after each listened event, where in the history that one is, and whether there is
    one.
    """

    interest_PBD: Tensor
    position_PB: Tensor
    valid_PB: Tensor


class InterestEvolution(Ranker):
    """One interest for each candidate, which the order of the events decides."""

    name: ClassVar[str] = "interest_evolution"
    feature_service: ClassVar[str] = "interest_evolution"

    def __init__(self, config: RankerConfig, catalogue: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        super().__init__(config, catalogue, tasks)
        self.extractor = AUGRU(config.width)
        self.attention = CandidateAttention(config.width)
        self.evolution = AUGRU(config.width)

    @staticmethod
    def config(recipe: str) -> RankerConfig:
        """The same numbers as every rung of the ladder, and hard search."""
        return replace(ranker_config(recipe), hard_search=True)

    def encode_user(self, users: UserInputs) -> EvolutionState:
        """With the extractor's states: no candidate is in them."""
        state = super().encode_user(users)
        place_PB, valid_PB = left_align_positions(users.listened_BL)
        event_PBD = gather_positions(state.events_BLD, place_PB)
        interest_PB1D = self.extractor.states(event_PBD, valid_PB.unsqueeze(-1).to(event_PBD.dtype))
        return EvolutionState(
            **vars(state), interest_PBD=interest_PB1D.squeeze(2), position_PB=place_PB, valid_PB=valid_PB
        )

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Where the states led, read with the candidate's attention; zeros for a user who listened to nothing."""
        evolution = cast(EvolutionState, state)
        scale_PBC = self.attention(item_BCD, evolution.interest_PBD, evolution.valid_PB)
        return self.evolution.last_state(evolution.interest_PBD, scale_PBC)

    def auxiliary_loss(self, state: UserState, users: UserInputs) -> Tensor:
        """How badly the extractor's states tell the next track from one that somebody else, or the user, listened to.

        A step for which the next track itself was drawn says nothing and does not count. Of several ranks each draws among
        the events of its own rows.
        """
        evolution = cast(EvolutionState, state)
        place_PB, valid_PB = evolution.position_PB, evolution.valid_PB
        track_PB = users.event_track_BL.gather(1, place_PB.T).T
        artist_PB = users.event_artist_BL.gather(1, place_PB.T).T
        track_PBD = self.embedding.embed_tracks(track_PB, artist_PB)
        drawn_PB = sample_positions(valid_PB)
        other_PBD = track_PBD.flatten(0, 1)[drawn_PB]
        is_other_PB = track_PB.flatten()[drawn_PB] != track_PB
        counts_PB = valid_PB & is_other_PB
        loss = next_event_loss(evolution.interest_PBD, track_PBD, other_PBD, counts_PB)
        return distributed.weight_for_global_mean(loss, counts_PB[1:].sum())
