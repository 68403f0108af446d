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

Layers of interest evolution: a GRU with attention in its update gate (AUGRU), candidate attention, next-event loss.

Shape letters: B batch, C candidates, N = B·C pairs of them, P listened events (time first), S = 1 + P states, D width,
X flattened rows. Does not depend on users or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.inputs import UserInputs
from training.ranking.ranker import Ranker, RankerConfig, UserState

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input


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

        Steps whose negative is the next track itself are left out.
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
        return next_event_loss(evolution.interest_PBD, track_PBD, negative_PBD, is_used_PB)


def left_align_positions(mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of the masked-in events, in order, left-aligned [P, B], and their mask [P, B].

    P is the largest number of events in a row of the mask.
    """
    count_B = mask_BL.sum(1)
    longest = max(count_B.tolist(), default=0)
    position_BP = mask_BL.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :longest]
    return position_BP.T, torch.arange(longest, device=mask_BL.device)[:, None] < count_B


def gather_positions(values_BLD: Tensor, position_PB: Tensor) -> Tensor:
    """Return the values at the given positions [P, B, D]."""
    B, L, D = values_BLD.shape
    row_PB = position_PB + L * torch.arange(B, device=position_PB.device)
    return values_BLD.reshape(B * L, D).index_select(0, row_PB.reshape(-1)).view(*position_PB.shape, D)


class AUGRU(nn.Module):
    """Gated recurrent unit whose update gate is scaled by attention: h ← h + a·u·(n − h).

    u = σ(W_u x + U_u h + b_u), r = σ(W_r x + U_r h + b_r), n = tanh(W_n x + r·U_n h + b_n). The scale a is a scalar per
    event and candidate: the attention weight (AUGRU, Zhou et al. 2019, 1809.03672), or 1 for a plain GRU. An event with
    a = 0 does not change the state; padding is skipped this way.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        # Gate order is u, r, n for the input and n, u, r for the state.
        self.input_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.state_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.bias_31D = nn.Parameter(torch.zeros(3, 1, width))

    def states(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the state after each event [P, B, C, D]; the initial state is zero."""
        states = self._run(event_PBD, scale_PBC)[1:]
        return torch.stack(states) if states else event_PBD.new_zeros(0, *scale_PBC.shape[1:], event_PBD.shape[2])

    def last_state(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the state after all events [B, C, D]; zero without events."""
        return self._run(event_PBD, scale_PBC)[-1]

    def _run(self, event_PBD: Tensor, scale_PBC: Tensor) -> list[Tensor]:
        """Return the initial state and that after each event [B, C, D]."""
        (P, B, D), C = event_PBD.shape, scale_PBC.shape[2]
        rows_3XD = event_PBD.reshape(P * B, D).expand(3, -1, -1)
        # Events do not depend on candidates: one product for all steps, shared by the candidates.
        input_3PB1D = torch.baddbmm(self.bias_31D, rows_3XD, self.input_3DD).view(3, P, B, 1, D)
        states = [event_PBD.new_zeros(B, C, D)]
        for input_3B1D, scale_BC1 in zip(input_3PB1D.unbind(1), scale_PBC.unsqueeze(-1).unbind(), strict=True):
            rows_3ND = states[-1].flatten(0, 1).expand(3, -1, -1)
            hidden_BCD, update_BCD, reset_BCD = torch.bmm(rows_3ND, self.state_3DD).view(3, B, C, D)
            update_BCD, reset_BCD = (input_3B1D[0] + update_BCD).sigmoid(), (input_3B1D[1] + reset_BCD).sigmoid()
            new_BCD = torch.addcmul(input_3B1D[2], hidden_BCD, reset_BCD).tanh()
            states.append(torch.lerp(states[-1], new_BCD, update_BCD * scale_BC1))
        return states


class CandidateAttention(nn.Module):
    """Attention weight of each event for a candidate: softmax over the valid events of a bilinear form (DIEN)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bilinear_DD = nn.Parameter(torch.empty(width, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, item_BCD: Tensor, event_PBD: Tensor, valid_PB: Tensor) -> Tensor:
        """Return weights [P, B, C] that sum to 1 over the events of a user; 0 where an event is not valid."""
        score_PBC = torch.einsum("pbd,bcd->pbc", event_PBD, item_BCD @ self.bilinear_DD)
        valid_PB1 = valid_PB.unsqueeze(-1)
        # The lowest finite number instead of -inf, which would give NaN for a user without events.
        lowest = torch.finfo(score_PBC.dtype).min
        return score_PBC.masked_fill(~valid_PB1, lowest).softmax(0) * valid_PB1


def next_event_loss(state_PBD: Tensor, track_PBD: Tensor, negative_PBD: Tensor, is_used_PB: Tensor) -> Tensor:
    """Return the mean of −log σ(h·e) − log(1 − σ(h·e')) over the used steps: e is the next track, e' a negative one.

    `track_PBD` and `negative_PBD` have the same positions: the state of row p − 1 predicts row p, so no state predicts
    the first row. Returns 0 if no step is used.
    """
    predicting_PBD, is_used_PB = state_PBD[:-1], is_used_PB[1:]
    loss_PB = F.softplus(-(predicting_PBD * track_PBD[1:]).sum(-1))
    loss_PB = loss_PB + F.softplus((predicting_PBD * negative_PBD[1:]).sum(-1))
    return (loss_PB * is_used_PB).sum() / is_used_PB.sum().clamp(min=1)


def sample_positions(valid_PB: Tensor) -> Tensor:
    """Return a random valid position for each element of [P, B], as a flat index; 0 without valid positions."""
    valid_X = valid_PB.flatten().nonzero().squeeze(1)
    if not len(valid_X):
        return torch.zeros_like(valid_PB, dtype=torch.int64)
    return valid_X[torch.randint(len(valid_X), valid_PB.shape, device=valid_X.device)]
