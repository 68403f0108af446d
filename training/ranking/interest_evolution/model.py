"""Interest-evolution ranker (DIEN): a GRU over listened events, then a GRU whose update gate is scaled by attention.

Zhou et al. 2019, "Deep Interest Evolution Network for Click-Through Rate Prediction", 1809.03672: a GRU reads the
events (interest extractor), an auxiliary loss trains each of its states to tell the next event from a random one, and a
second GRU, whose update gate is scaled by the candidate's attention (AUGRU), reads the states (interest evolution).

The sequence holds the listened plays among the recent events: plays that were not skipped, full or not. Full plays
alone would be a cleaner signal, but logs without track durations have none; the event embedding encodes the kind of
play. Differs: an event carries its behavior, its age and its played ratio in addition to its ids, and the auxiliary loss
predicts the ids alone; its negatives are tracks of other events of the batch, so they are as popular as the positives;
it is a mean over steps, not a sum; it uses the inner product of the paper's formula, not the network of its code. Hard
search (`features/history_match.py`) adds match features, as in `target_attention`.

Shape letters: B requests, C candidates, L events, P listened events (time first), D width.
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
from training.ranking.ranker import Ranker, RankerConfig, UserState, ranker_config


@dataclass(frozen=True)
class EvolutionState(UserState):
    """User state with the extractor's state after each listened event, its position in the history, and a mask."""

    interest_PBD: Tensor
    position_PB: Tensor
    valid_PB: Tensor


class InterestEvolution(Ranker[RankerConfig]):
    """One interest for each candidate, which depends on the order of the events."""

    name: ClassVar[str] = "interest_evolution"
    feature_service: ClassVar[str] = "interest_evolution"

    def __init__(self, config: RankerConfig, catalogue: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        super().__init__(config, catalogue, tasks)
        width = config.network.width
        self.extractor = AUGRU(width)
        self.attention = CandidateAttention(width)
        self.evolution = AUGRU(width)

    @classmethod
    def config(cls, recipe: str) -> RankerConfig:
        """Return the shared config with hard search."""
        base = ranker_config(recipe)
        return replace(base, features=replace(base.features, hard_search=True, content=True))

    def encode_user(self, users: UserInputs) -> EvolutionState:
        """Return the state with the extractor's states, which do not depend on candidates."""
        state = super().encode_user(users)
        position_PB, valid_PB = left_align_positions(users.listened_BL)
        event_PBD = gather_positions(state.events_BLD, position_PB)
        interest_PB1D = self.extractor.states(event_PBD, valid_PB.unsqueeze(-1).to(event_PBD.dtype))
        return EvolutionState(
            **vars(state), interest_PBD=interest_PB1D.squeeze(2), position_PB=position_PB, valid_PB=valid_PB
        )

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the last state of the AUGRU [B, C, D]; zeros for a user without listened events."""
        evolution = cast(EvolutionState, state)
        scale_PBC = self.attention(item_BCD, evolution.interest_PBD, evolution.valid_PB)
        return self.evolution.last_state(evolution.interest_PBD, scale_PBC)

    def auxiliary_loss(self, state: UserState, users: UserInputs) -> Tensor:
        """Return the loss of telling the next track from a track of a random listened event of the batch, a scalar.

        Steps whose negative is the next track itself are left out. In distributed training each rank samples among the
        events of its rows.
        """
        evolution = cast(EvolutionState, state)
        position_PB, valid_PB = evolution.position_PB, evolution.valid_PB
        track_PB = users.event_track_BL.gather(1, position_PB.T).T
        artist_PB = users.event_artist_BL.gather(1, position_PB.T).T
        track_PBD = self.embedding.embed_tracks(track_PB, artist_PB)
        sample_PB = sample_positions(valid_PB)
        negative_PBD = track_PBD.flatten(0, 1)[sample_PB]
        is_negative_PB = track_PB.flatten()[sample_PB] != track_PB
        is_used_PB = valid_PB & is_negative_PB
        loss = next_event_loss(evolution.interest_PBD, track_PBD, negative_PBD, is_used_PB)
        return distributed.weight_for_global_mean(loss, is_used_PB[1:].sum())
