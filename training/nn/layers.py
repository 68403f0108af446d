"""Layers that every ranker shares. Knows nothing about users or files.

Shape letters: B batch, C candidates, L events, D width, N valid (user, event) pairs, V vocabulary, F features, K
pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from training.engine import distributed

PADDING, UNKNOWN, FIRST_KNOWN = 0, 1, 2
PAIR_BATCH_SIZE = 6000


class Lookup(nn.Embedding):
    """An embedding whose gradient is summed in a fifth of the time on a processor, where torch adds it row by row."""

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors [..., D] of rows [...]."""
        if self.weight.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(rows)
        return _LookupFunction.apply(self.weight, rows, self.padding_idx)  # type: ignore[no-any-return]


class _LookupFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_VD: Tensor, rows: Tensor, padding: int | None) -> Tensor:
        flat_N = rows.reshape(-1)
        ctx.save_for_backward(flat_N)
        ctx.shape, ctx.padding = table_VD.shape, padding
        return table_VD.index_select(0, flat_N).view(*rows.shape, table_VD.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (flat_N,) = ctx.saved_tensors
        summed_VD = slope.new_zeros(ctx.shape).index_add_(0, flat_N, slope.reshape(-1, ctx.shape[1]))
        if ctx.padding is not None:
            summed_VD[ctx.padding].zero_()
        return summed_VD, None, None


class FrequencyCutEmbedding(nn.Module):
    """Embeddings of ids seen at least `minimum` times in training; every rarer id shares the row of the unknown.

    Padding is a zero vector. In training a share `id_dropout` of the ids is replaced by the unknown, which both
    trains that row and keeps single ids from being learned by heart: they over-fit in the second epoch otherwise.

    Args:
        counts_V: how often training saw each vocabulary index; indices 0 and 1 are padding and unknown.
        minimum: smallest count that earns a row of its own.
    """

    row_of_V: Tensor

    def __init__(self, counts_V: Tensor, width: int, minimum: int = 1, id_dropout: float = 0.0) -> None:
        super().__init__()
        kept_V = counts_V >= max(minimum, 1)
        kept_V[:FIRST_KNOWN] = False
        row_of_V = torch.where(kept_V, kept_V.cumsum(0) + UNKNOWN, UNKNOWN)
        row_of_V[PADDING] = PADDING
        self.register_buffer("row_of_V", row_of_V.to(torch.int32))
        self.table = Lookup(int(kept_V.sum()) + FIRST_KNOWN, width, padding_idx=PADDING)
        self.id_dropout = id_dropout
        nn.init.normal_(self.table.weight, std=0.05)
        with torch.no_grad():
            self.table.weight[PADDING].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors [..., D] of ids [...]; an id outside the vocabulary is the unknown."""
        known = ids.clamp(0, len(self.row_of_V) - 1)
        rows = self.row_of_V[torch.where(known == ids, ids, UNKNOWN)].long()
        if self.training and self.id_dropout > 0:
            dropped = (torch.rand(rows.shape, device=rows.device) < self.id_dropout) & (rows > UNKNOWN)
            rows = rows.masked_fill(dropped, UNKNOWN)
        vectors: Tensor = self.table(rows)
        return vectors


class Dice(nn.Module):
    """DIN's activation: x·(p + (1−p)·α), p the sigmoid of x normalised over the batch (Zhou et al. 2018, 1706.06978).

    Differs from the paper in the epsilon (1e-5 rather than 1e-8: float32). A batch that several ranks share is normalised
    as one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(width, affine=False)
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape [..., width]; one row in training mode has no variance and uses the running one."""
        rows, normalise = x.reshape(-1, x.shape[-1]), self.normalise
        if self.training and distributed.is_distributed():
            return self._forward_distributed(rows).view_as(x)
        if self.training and len(rows) > 1:
            if normalise.num_batches_tracked is not None:
                normalise.num_batches_tracked.add_(1)
            learned: Tensor = _DiceFunction.apply(
                rows, self.alpha, normalise.running_mean, normalise.running_var, normalise.momentum, normalise.eps
            )
            return learned.view_as(x)
        scale, shift = self.normalisation()
        if torch.is_grad_enabled():
            return self._gated(rows, scale, shift).view_as(x)
        gate = torch.addcmul(shift, rows, scale).sigmoid_()
        # In place: fresh memory would cost more than the arithmetic.
        return torch.addcmul(self.alpha, gate, 1 - self.alpha, out=gate).mul_(rows).view_as(x)

    def _gated(self, rows: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        gate = torch.addcmul(shift, rows, scale).sigmoid_()
        return rows * torch.addcmul(self.alpha, gate, 1 - self.alpha)

    def _forward_distributed(self, rows_NH: Tensor) -> Tensor:
        """Dice of this rank's rows, normalised over the rows of all; its gradient reaches the others through the sums."""
        normalise, sums = self.normalise, [one.sum(0, dtype=torch.float64) for one in (rows_NH, rows_NH.square())]
        summed = distributed.all_reduce_sum(torch.cat([*sums, sums[0].new_tensor([len(rows_NH)])]))
        if (count := float(summed[-1])) <= 1:
            return self._gated(rows_NH, *self.normalisation())
        mean_H, square_H = (summed[:-1] / count).chunk(2)
        variance_H = (square_H - mean_H.square()).clamp(min=0)
        with torch.no_grad():
            for kept_H, seen_H in (
                (normalise.running_mean, mean_H),
                (normalise.running_var, variance_H * (count / (count - 1))),
            ):
                cast(Tensor, kept_H).lerp_(seen_H.to(rows_NH.dtype), cast(float, normalise.momentum))
            cast(Tensor, normalise.num_batches_tracked).add_(1)
        scale_H = (variance_H + normalise.eps).rsqrt()
        return self._gated(rows_NH, scale_H.to(rows_NH.dtype), (-mean_H * scale_H).to(rows_NH.dtype))

    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Scale and shift [width] that normalise x outside of training."""
        mean, variance = cast(Tensor, self.normalise.running_mean), cast(Tensor, self.normalise.running_var)
        scale = (variance + self.normalise.eps).rsqrt()
        return scale, -mean * scale


class _DiceFunction(torch.autograd.Function):
    """Dice of rows that are normalised over themselves, with its gradient by hand: no pass over the rows twice."""

    @staticmethod
    def forward(
        ctx: Any, rows_NH: Tensor, alpha_H: Tensor, mean_H: Tensor, variance_H: Tensor, momentum: float, eps: float
    ) -> Tensor:
        normal_NH, own_mean_H, own_scale_H = torch.native_batch_norm(
            rows_NH, None, None, mean_H, variance_H, True, momentum, eps
        )
        gate_NH = normal_NH.sigmoid_()
        ctx.save_for_backward(rows_NH, alpha_H, gate_NH, own_mean_H, own_scale_H)
        ctx.eps = eps
        return torch.addcmul(alpha_H, gate_NH, 1 - alpha_H).mul_(rows_NH)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_NH: Tensor) -> tuple[Tensor | None, ...]:
        rows_NH, alpha_H, gate_NH, mean_H, scale_H = ctx.saved_tensors
        of_factor_NH = slope_NH * rows_NH
        slope_alpha_H = of_factor_NH.sum(0) - (of_factor_NH * gate_NH).sum(0)
        of_gate_NH = of_factor_NH.mul_(1 - alpha_H)
        of_normal_NH = torch.ops.aten.sigmoid_backward(of_gate_NH, gate_NH)
        slope_rows_NH, _, _ = torch.ops.aten.native_batch_norm_backward(
            of_normal_NH, rows_NH, None, None, None, mean_H, scale_H, True, ctx.eps, [True, False, False]
        )
        slope_rows_NH.addcmul_(slope_NH, torch.addcmul(alpha_H, gate_NH, 1 - alpha_H))
        return slope_rows_NH, slope_alpha_H, None, None, None, None


class MultilayerPerceptron(nn.Module):
    """Linear layers of the given widths with Dice and dropout between them; the last one is plain linear."""

    def __init__(self, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            layers.append(nn.Linear(before, after))
            if index < len(widths) - 2:
                layers += [Dice(after), nn.Dropout(dropout)] if dropout else [Dice(after)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[..., widths[0]] to [..., widths[-1]]."""
        return self.layers(x)  # type: ignore[no-any-return]


class PiecewiseLinear(nn.Module):
    """Numbers as their position on a few quantiles, so that a linear layer can bend at them.

    Piece k of a feature is 0 below its lower quantile, 1 above its upper one and linear between (Gorishniy et al. 2022,
    "On Embeddings for Numerical Features in Tabular Deep Learning", 2203.05556). Outliers saturate: no input is
    unbounded.
    """

    lower_FK: Tensor
    width_FK: Tensor

    def __init__(self, features: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.register_buffer("lower_FK", torch.linspace(-1, 1, pieces + 1)[:-1].repeat(features, 1))
        self.register_buffer("width_FK", torch.full((features, pieces), 2.0 / pieces))

    @property
    def width(self) -> int:
        """Length of the encoding, F·K."""
        return self.lower_FK.numel()

    def fit_quantiles(self, sample_NF: Tensor) -> None:
        """Place the pieces on the quantiles of a sample of training rows."""
        edges_KF = torch.quantile(sample_NF.float(), torch.linspace(0, 1, self.pieces + 1), dim=0)
        self.lower_FK.copy_(edges_KF[:-1].T)
        # A piece between equal quantiles becomes a step: wide enough to divide by, too narrow to matter.
        self.width_FK.copy_((edges_KF[1:] - edges_KF[:-1]).T.clamp(min=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """[..., F] to [..., F·K], each in [0, 1]."""
        # In place: of hundreds of candidates the pieces are megabytes.
        return (x.unsqueeze(-1) - self.lower_FK).div_(self.width_FK).clamp_(0, 1).flatten(-2)


def masked_mean(values_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Mean over the valid positions [B, D]; zeros where a row has none."""
    mask_BL1 = mask_BL.unsqueeze(-1).to(values_BLD.dtype)
    return (values_BLD * mask_BL1).sum(1) / mask_BL1.sum(1).clamp(min=1)


def _pair_batches(requests: int, candidates: int, events: int) -> Iterator[tuple[slice, slice]]:
    """Requests and candidates whose pairs with the events stay in the processor's cache."""
    at_once = min(candidates, max(1, PAIR_BATCH_SIZE // max(events, 1)))
    together = max(1, PAIR_BATCH_SIZE // max(events * at_once, 1))
    for b in range(0, requests, together):
        for c in range(0, candidates, at_once or 1):
            yield slice(b, b + together), slice(c, c + at_once)


class AttentionUnit(nn.Module):
    """How much each event matters for a candidate, and the events summed by it (DIN, Zhou et al. 2018, 1706.06978).

    The weight is a small network of [e, a, e−a, e·a] (candidate e, event a), without softmax by default, so that the
    strength of an interest survives. Padding can change neither a weight nor the statistics of Dice.
    """

    def __init__(self, width: int, hidden: Sequence[int] = (80, 40), softmax: bool = False) -> None:
        super().__init__()
        first, *rest = hidden
        self.softmax = softmax
        self.first = nn.Linear(4 * width, first)
        self.activation = Dice(first)
        self.rest = MultilayerPerceptron([first, *rest, 1])

    def weights(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """[B, C, L]; zero where the mask is.

        The first layer is linear in all but e·a, and e·a is linear in a: what a candidate asks of an event is one
        matrix, W_a − W_d + diag(e) W_p, so that every pair costs one product of the event with it. The part of e alone
        is a bias of the candidate.
        """
        if len(self.rest.layers) == 1 and not (self.training or torch.is_grad_enabled()):
            score_BLC = self._scores_inference(item_BCD, event_BLD).masked_fill_(~mask_BL.unsqueeze(-1), self._fill)
        else:
            score_BLC = self._scores_general(item_BCD, event_BLD, mask_BL)
        score_BCL = score_BLC.transpose(1, 2)
        if not self.softmax:
            return score_BCL
        # A row without events has only -inf: its softmax is NaN, and its weights are zero.
        return score_BCL.softmax(-1).nan_to_num(0.0)

    def _scores_general(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        of_item, of_event, of_difference, of_product = self.first.weight.T.chunk(4)
        bias_BCH, asked_D1H = (
            item_BCD @ (of_item + of_difference) + self.first.bias,
            (of_event - of_difference)[:, None],
        )
        B, C, L = *item_BCD.shape[:2], event_BLD.shape[1]
        score_BLC = event_BLD.new_empty(B, L, C)
        # Dice in training needs all at once.
        for some, these in [(slice(B), slice(C))] if self.training else _pair_batches(B, C, L):
            item_BDC1 = item_BCD[some, these].transpose(1, 2).contiguous().unsqueeze(-1)
            asked_BDCH = torch.addcmul(asked_D1H, item_BDC1, of_product.unsqueeze(1))
            bias_B1X = bias_BCH[some, these].flatten(1).unsqueeze(1)
            hidden_BLX = torch.baddbmm(bias_B1X, event_BLD[some], asked_BDCH.flatten(2))
            score_BLC[some, :, these] = self._scores(hidden_BLX, mask_BL[some])
        return score_BLC

    def _scores(self, hidden_BLX: Tensor, mask_BL: Tensor) -> Tensor:
        """[B, L, C] of the first layer's [B, L, C·H]; zero, or minus infinity before a softmax, where the mask is."""
        H = len(self.first.bias)
        if not self.training:
            every_BLC: Tensor = self.rest(self.activation(hidden_BLX.unflatten(-1, (-1, H)))).squeeze(-1)
            return every_BLC.masked_fill(~mask_BL.unsqueeze(-1), self._fill)
        if bool(mask_BL.all()):
            full_BLC: Tensor = self.rest(self.activation(hidden_BLX.unflatten(-1, (-1, H)))).squeeze(-1)
            return full_BLC
        valid_N = mask_BL.flatten().nonzero().squeeze(1)
        hidden_NCH = hidden_BLX.flatten(0, 1).index_select(0, valid_N).unflatten(-1, (-1, H))
        score_NC = self.rest(self.activation(hidden_NCH)).squeeze(-1)
        score_XC = score_NC.new_full((mask_BL.numel(), score_NC.shape[1]), self._fill).index_copy(0, valid_N, score_NC)
        score_BLC: Tensor = score_XC.unflatten(0, mask_BL.shape)
        return score_BLC

    def _scores_inference(self, item_BCD: Tensor, event_BLD: Tensor) -> Tensor:
        """[B, L, C] where nothing learns and one layer is left: of Dice and that layer only a gate and products remain.

        With z = s·x + t, the score is the sum of w·x·(α + (1−α)·σ(z)) = w·(z − t)/s · (α + (1−α)·σ(z)). What is linear in
        z is linear in the event too, so that it needs no pairs.
        """
        (scale_H, shift_H), alpha_H, last = self.activation.normalisation(), self.activation.alpha, self.rest.layers[0]
        of_item, of_event, of_difference, of_product = (self.first.weight.T * scale_H).chunk(4)
        asked_DH, bias_BCH = of_event - of_difference, item_BCD @ (of_item + of_difference)
        bias_BCH += self.first.bias * scale_H + shift_H
        weight_H = cast(Tensor, last.weight)[0] / scale_H
        straight_H, gated_H = weight_H * alpha_H, weight_H * (1 - alpha_H)
        item_BDC = item_BCD.transpose(1, 2).contiguous()
        straight_BDC = torch.addcmul((asked_DH @ straight_H)[:, None], item_BDC, (of_product @ straight_H)[:, None])
        straight_B1C = (bias_BCH @ straight_H + (cast(Tensor, last.bias) - shift_H @ straight_H)).unsqueeze(1)
        score_BLC = torch.baddbmm(straight_B1C, event_BLD, straight_BDC)
        (B, L, C), H, shifted_H = score_BLC.shape, len(alpha_H), -shift_H * gated_H
        # Memory of the pairs is asked for once.
        normal_X, gate_X = event_BLD.new_empty(2, H * max(L, PAIR_BATCH_SIZE))
        for some, these in _pair_batches(B, C, L):
            item_BDC1 = item_BDC[some, :, these].unsqueeze(-1)
            asked_BDX = torch.addcmul(asked_DH[:, None], item_BDC1, of_product[:, None]).flatten(2)
            bias_B1X = bias_BCH[some, these].flatten(1).unsqueeze(1)
            shape_BLC = len(asked_BDX), L, item_BDC1.shape[2]
            normal_NH, gate_NH = (one[: H * math.prod(shape_BLC)].view(-1, H) for one in (normal_X, gate_X))
            torch.baddbmm(bias_B1X, event_BLD[some], asked_BDX, out=normal_NH.view(*shape_BLC[:2], -1))
            torch.sigmoid(normal_NH, out=gate_NH)
            gated_N = torch.mv(gate_NH, shifted_H).addmv_(gate_NH.mul_(normal_NH), gated_H)
            score_BLC[some, :, these] += gated_N.view(shape_BLC)
        return score_BLC

    @property
    def _fill(self) -> float:
        return float("-inf") if self.softmax else 0.0

    def forward(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Interest [B, C, D] of each candidate in the valid events; zeros for a user without events."""
        interest_BCD: Tensor = self.weights(item_BCD, event_BLD, mask_BL) @ event_BLD
        return interest_BCD
