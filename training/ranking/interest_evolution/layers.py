"""The layers of interest evolution: a gated recurrence with attention in its update gate, and the loss of the next event.

Shape letters: B batch, C candidates, N = B·C pairs of them, P listened events (time goes first), S = 1 + P states, D width,
X rows of whatever is flattened. Knows nothing about users or files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input


def left_align_positions(mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the marked events, in order, in the first rows of [P, B]; and which of the rows are marked ones.

    P is the most that any row of the mask has.
    """
    count_B = mask_BL.sum(1)
    longest = max(count_B.tolist(), default=0)
    place_BP = mask_BL.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :longest]
    return place_BP.T, torch.arange(longest, device=mask_BL.device)[:, None] < count_B


def gather_positions(values_BLD: Tensor, place_PB: Tensor) -> Tensor:
    """The values of some positions [P, B, D]."""
    B, L, D = values_BLD.shape
    row_PB = place_PB + L * torch.arange(B, device=place_PB.device)
    return values_BLD.reshape(B * L, D).index_select(0, row_PB.reshape(-1)).view(*place_PB.shape, D)


class AUGRU(nn.Module):
    """A gated recurrent unit whose update gate is scaled: h ← h + a·u·(n − h).

    u = σ(W_u x + U_u h + b_u), r = σ(W_r x + U_r h + b_r), n = tanh(W_n x + r·U_n h + b_n). The scale a is one number
    an event and candidate: the attention (AUGRU, Zhou et al. 2019, 1809.03672), or 1 for a plain GRU. An event with
    a = 0 leaves the state as it is, which is how padding is passed over.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        # The gates of the input are in the order u, r, n; those of the state in the order n, u, r: see `_walk`.
        self.input_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.state_3DD = nn.Parameter(torch.empty(3, width, width).uniform_(-bound, bound))
        self.bias_31D = nn.Parameter(torch.zeros(3, 1, width))

    def states(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """The state after each event [P, B, C, D]; it starts at zero."""
        return self._run(event_PBD, scale_PBC, return_sequence=True)

    def last_state(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """The state after all events [B, C, D]; zero where there is none."""
        return self._run(event_PBD, scale_PBC, return_sequence=False)[-1]

    def _run(self, event_PBD: Tensor, scale_PBC: Tensor, return_sequence: bool) -> Tensor:
        P, B, D = event_PBD.shape
        rows_3XD = event_PBD.reshape(P * B, D).expand(3, -1, -1)
        # No candidate is in the events: one product for all steps, shared by the candidates.
        input_3PB1D = torch.baddbmm(self.bias_31D, rows_3XD, self.input_3DD).view(3, P, B, 1, D)
        if torch.is_grad_enabled():
            return _AUGRUFunction.apply(input_3PB1D, scale_PBC, self.state_3DD, return_sequence)  # type: ignore[no-any-return]
        states_PBCD, _ = _unroll(input_3PB1D, scale_PBC, self.state_3DD, return_sequence, keep_intermediates=False)
        return states_PBCD[1:] if return_sequence else states_PBCD[-1:]


def _unroll(
    input_3PB1D: Tensor, scale_PBC: Tensor, weight_3DD: Tensor, return_sequence: bool, keep_intermediates: bool
) -> tuple[Tensor, Tensor]:
    """States [1 + P, B, C, D], the first of them zero, and what the steps computed [4, P, B, C, D]: U_n h, u, r, n.

    In this order the first three are the gates of the state, one after the other as one product writes them, and the
    last three those of the input, which is what their gradients need. Unless they are kept, all steps write to the
    same place, and so do the states unless the whole walk is asked for.
    """
    _, P, B, _, D = input_3PB1D.shape
    C = scale_PBC.shape[-1]
    states_SBCD = input_3PB1D.new_empty(1 + P if return_sequence or keep_intermediates else 1, B, C, D).expand(
        1 + P, B, C, D
    )
    states_SBCD[0].zero_()
    room_4PBCD = input_3PB1D.new_empty(4, P if keep_intermediates else 1, B, C, D).expand(4, P, B, C, D)
    moved_BCD, minus_one = torch.empty_like(states_SBCD[0]), input_3PB1D.new_tensor(-1.0)
    # Views of all steps are made at once: made step by step they would cost as much as the arithmetic.
    states_S, rows_S = states_SBCD.unbind(), states_SBCD.flatten(1, 2).unsqueeze(1).expand(-1, 3, -1, -1).unbind()
    product_P, gates_P = room_4PBCD[:3].flatten(2, 3).unbind(1), room_4PBCD[1:3].unbind(1)
    hidden_P, update_P, reset_P, new_P = (part_PBCD.unbind() for part_PBCD in room_4PBCD)
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
    return states_SBCD, room_4PBCD


class _AUGRUFunction(torch.autograd.Function):
    """The walk with its gradient by hand: a third of the time that recording every step takes."""

    @staticmethod
    def forward(ctx: Any, input_3PB1D: Tensor, scale_PBC: Tensor, weight_3DD: Tensor, is_whole: bool) -> Tensor:
        states_SBCD, room_4PBCD = _unroll(input_3PB1D, scale_PBC, weight_3DD, is_whole, keep_intermediates=True)
        ctx.save_for_backward(scale_PBC, weight_3DD, states_SBCD, room_4PBCD)
        return states_SBCD[1:] if is_whole else states_SBCD[-1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_SBCD: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        scale_PBC, weight_3DD, states_SBCD, room_4PBCD = ctx.saved_tensors
        _, P, B, C, D = room_4PBCD.shape
        slope_4PBCD = torch.empty_like(room_4PBCD)
        slope_scale_PBC = torch.empty_like(scale_PBC) if ctx.needs_input_grad[1] else None
        slope_4PND, back_3DD = slope_4PBCD.flatten(2, 3), weight_3DD.transpose(1, 2)
        slope_BCD = torch.zeros_like(states_SBCD[0])
        for t in reversed(range(P)):
            if (given := t - P + len(slope_SBCD)) >= 0:
                slope_BCD = slope_BCD + slope_SBCD[given]
            hidden_BCD, update_BCD, reset_BCD, new_BCD = room_4PBCD[:, t].unbind()
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
            kept_ND = (slope_BCD - moved_BCD).flatten(0, 1)
            slope_BCD = torch.addbmm(kept_ND, slope_4PND[:3, t], back_3DD).view(B, C, D)
        before_3DX = states_SBCD[:-1].reshape(P * B * C, D).T.expand(3, -1, -1)
        slope_weight_3DD = torch.bmm(before_3DX, slope_4PBCD[:3].reshape(3, P * B * C, D))
        slope_input_3PBCD = slope_4PBCD[1:]
        slope_input_3PB1D = slope_input_3PBCD if C == 1 else slope_input_3PBCD.sum(3, keepdim=True)
        return slope_input_3PB1D, slope_scale_PBC, slope_weight_3DD, None


class CandidateAttention(nn.Module):
    """How much each event matters for a candidate: a softmax over the valid events of a bilinear form (DIEN's)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bilinear_DD = nn.Parameter(torch.empty(width, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, item_BCD: Tensor, event_PBD: Tensor, valid_PB: Tensor) -> Tensor:
        """[P, B, C], sums to 1 over the events of a user; zero where an event is not valid."""
        score_PBC = torch.einsum("pbd,bcd->pbc", event_PBD, item_BCD @ self.bilinear_DD)
        valid_PB1 = valid_PB.unsqueeze(-1)
        # The lowest number, not minus infinity: a user without events would get NaN, and its gradient.
        lowest = torch.finfo(score_PBC.dtype).min
        return score_PBC.masked_fill(~valid_PB1, lowest).softmax(0) * valid_PB1


def next_event_loss(state_PBD: Tensor, track_PBD: Tensor, other_PBD: Tensor, counts_PB: Tensor) -> Tensor:
    """Mean of −log σ(h·e) − log(1 − σ(h·e')) over the steps that count: e is the next track, e' another one.

    `track_PBD` and `other_PBD` are those of the same places: row p is told by the state of row p − 1, so the first row is
    told by none. 0 where no step counts.
    """
    told_PBD, counts_PB = state_PBD[:-1], counts_PB[1:]
    loss_PB = F.softplus(-(told_PBD * track_PBD[1:]).sum(-1)) + F.softplus((told_PBD * other_PBD[1:]).sum(-1))
    return (loss_PB * counts_PB).sum() / counts_PB.sum().clamp(min=1)


def sample_positions(valid_PB: Tensor) -> Tensor:
    """For each place of [P, B] a random valid one of all, as its number in the flat array; zeros where there is none."""
    valid_X = valid_PB.flatten().nonzero().squeeze(1)
    if not len(valid_X):
        return torch.zeros_like(valid_PB, dtype=torch.int64)
    return valid_X[torch.randint(len(valid_X), valid_PB.shape, device=valid_X.device)]
