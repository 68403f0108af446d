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
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.inputs import UserInputs
from recommender.ranking.ranker import Ranker, UserState
from recommender.ranking.ranker_config import RankerConfig

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input


@dataclass(frozen=True)
class EvolutionState(UserState):
    """User state with the extractor's state after each listened event, its position in the history, and a mask."""

    interest_PBD: Tensor
    position_PB: Tensor
    valid_PB: Tensor


class InterestEvolution(Ranker):
    """One interest for each candidate, which depends on the order of the events."""

    name: ClassVar[str] = "interest_evolution"
    feature_service: ClassVar[str] = "interest_evolution"

    def __init__(self, config: RankerConfig, catalog: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        super().__init__(config, catalog, tasks)
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
        track_PB = users.recent.track_BL.gather(1, position_PB.T).T
        artist_PB = users.recent.artist_BL.gather(1, position_PB.T).T
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
        # Gate order is u, r, n for the input and n, u, r for the state: see `_unroll`.
        self.input_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.state_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.bias_31D = nn.Parameter(torch.zeros(3, 1, width))

    def states(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the state after each event [P, B, C, D]; the initial state is zero."""
        return self._run(event_PBD, scale_PBC, return_sequence=True)

    def last_state(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the state after all events [B, C, D]; zero without events."""
        return self._run(event_PBD, scale_PBC, return_sequence=False)[-1]

    def _run(self, event_PBD: Tensor, scale_PBC: Tensor, return_sequence: bool) -> Tensor:
        P, B, D = event_PBD.shape
        rows_3XD = event_PBD.reshape(P * B, D).expand(3, -1, -1)
        # Events do not depend on candidates: one product for all steps, shared by the candidates.
        input_3PB1D = torch.baddbmm(self.bias_31D, rows_3XD, self.input_3DD).view(3, P, B, 1, D)
        if torch.is_grad_enabled():
            return _AUGRUFunction.apply(input_3PB1D, scale_PBC, self.state_3DD, return_sequence)
        states_PBCD, _ = _unroll(input_3PB1D, scale_PBC, self.state_3DD, return_sequence, keep_intermediates=False)
        return states_PBCD[1:] if return_sequence else states_PBCD[-1:]


def _unroll(
    input_3PB1D: Tensor, scale_PBC: Tensor, weight_3DD: Tensor, return_sequence: bool, keep_intermediates: bool
) -> tuple[Tensor, Tensor]:
    """Return the states [1 + P, B, C, D], the first of them zero, and intermediates [4, P, B, C, D]: U_n h, u, r, n.

    In this order the first three are the gates of the state, contiguous as one product writes them, and the last three
    the gates of the input, as the backward pass needs them. Unless `keep_intermediates` is set, all steps share one buffer;
    so do the states unless `return_sequence` is set.
    """
    _, P, B, _, D = input_3PB1D.shape
    C = scale_PBC.shape[-1]
    states_SBCD = input_3PB1D.new_empty(1 + P if return_sequence or keep_intermediates else 1, B, C, D).expand(
        1 + P, B, C, D
    )
    states_SBCD[0].zero_()
    buffer_4PBCD = input_3PB1D.new_empty(4, P if keep_intermediates else 1, B, C, D).expand(4, P, B, C, D)
    moved_BCD, minus_one = torch.empty_like(states_SBCD[0]), input_3PB1D.new_tensor(-1.0)
    # Views of all steps are made in one call: made step by step they would cost as much as the arithmetic.
    states_S, rows_S = states_SBCD.unbind(), states_SBCD.flatten(1, 2).unsqueeze(1).expand(-1, 3, -1, -1).unbind()
    product_P, gates_P = buffer_4PBCD[:3].flatten(2, 3).unbind(1), buffer_4PBCD[1:3].unbind(1)
    hidden_P, update_P, reset_P, new_P = (part_PBCD.unbind() for part_PBCD in buffer_4PBCD)
    input_gates_P, input_new_P = input_3PB1D[:2].unbind(1), (2 * input_3PB1D[2]).unbind()
    scale_P = scale_PBC.unsqueeze(-1).unbind()
    for t in range(P):
        torch.bmm(rows_S[t], weight_3DD, out=product_P[t])
        gates_P[t].add_(input_gates_P[t]).sigmoid_()
        # tanh x = 2σ(2x) − 1; torch computes a sigmoid in a fifth of the time of a tanh.
        torch.addcmul(input_new_P[t], hidden_P[t], reset_P[t], value=2, out=new_P[t]).sigmoid_()
        torch.add(minus_one, new_P[t], alpha=2, out=new_P[t])
        torch.mul(update_P[t], scale_P[t], out=moved_BCD)
        torch.lerp(states_S[t], new_P[t], moved_BCD, out=states_S[t + 1])
    return states_SBCD, buffer_4PBCD


class _AUGRUFunction(torch.autograd.Function):
    """AUGRU recurrence with a manual gradient, in a third of the time of autograd recording every step."""

    @staticmethod
    def forward(ctx: Any, input_3PB1D: Tensor, scale_PBC: Tensor, weight_3DD: Tensor, return_sequence: bool) -> Tensor:
        states_SBCD, buffer_4PBCD = _unroll(
            input_3PB1D, scale_PBC, weight_3DD, return_sequence, keep_intermediates=True
        )
        ctx.save_for_backward(scale_PBC, weight_3DD, states_SBCD, buffer_4PBCD)
        return states_SBCD[1:] if return_sequence else states_SBCD[-1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_SBCD: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        scale_PBC, weight_3DD, states_SBCD, buffer_4PBCD = ctx.saved_tensors
        _, P, B, C, D = buffer_4PBCD.shape
        slope_4PBCD = torch.empty_like(buffer_4PBCD)
        slope_scale_PBC = torch.empty_like(scale_PBC) if ctx.needs_input_grad[1] else None
        slope_4PND, back_3DD = slope_4PBCD.flatten(2, 3), weight_3DD.transpose(1, 2)
        slope_BCD = torch.zeros_like(states_SBCD[0])
        for t in reversed(range(P)):
            if (row := t - P + len(slope_SBCD)) >= 0:
                slope_BCD = slope_BCD + slope_SBCD[row]
            hidden_BCD, update_BCD, reset_BCD, new_BCD = buffer_4PBCD[:, t].unbind()
            to_hidden_BCD, to_update_BCD, to_reset_BCD, to_new_BCD = slope_4PBCD[:, t].unbind()
            scale_BC1 = scale_PBC[t].unsqueeze(-1)
            moved_BCD = slope_BCD * (update_BCD * scale_BC1)
            tanh_backward(moved_BCD, new_BCD, grad_input=to_new_BCD)
            torch.mul(to_new_BCD, reset_BCD, out=to_hidden_BCD)
            sigmoid_backward(to_new_BCD * hidden_BCD, reset_BCD, grad_input=to_reset_BCD)
            to_move_BCD = slope_BCD * (new_BCD - states_SBCD[t])
            sigmoid_backward(to_move_BCD * scale_BC1, update_BCD, grad_input=to_update_BCD)
            if slope_scale_PBC is not None:
                torch.sum(to_move_BCD * update_BCD, -1, out=slope_scale_PBC[t])
            residual_ND = (slope_BCD - moved_BCD).flatten(0, 1)
            slope_BCD = torch.addbmm(residual_ND, slope_4PND[:3, t], back_3DD).view(B, C, D)
        before_3DX = states_SBCD[:-1].reshape(P * B * C, D).T.expand(3, -1, -1)
        slope_weight_3DD = torch.bmm(before_3DX, slope_4PBCD[:3].reshape(3, P * B * C, D))
        slope_input_3PBCD = slope_4PBCD[1:]
        slope_input_3PB1D = slope_input_3PBCD if C == 1 else slope_input_3PBCD.sum(3, keepdim=True)
        return slope_input_3PB1D, slope_scale_PBC, slope_weight_3DD, None


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
