"""Layers shared by rankers.

Shape letters: B batch, C candidates, L events, D width, H hidden width, N valid (user, event) pairs, V vocabulary,
F features, K pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PADDING, UNKNOWN, FIRST_KNOWN = 0, 1, 2
PAIR_BATCH_SIZE = 6000


class Lookup(nn.Embedding):
    """An embedding whose gradient takes a fifth of the time on CPUs, where torch accumulates it row by row."""

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors [..., D] of rows [...]."""
        if self.weight.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(rows)
        return _LookupFunction.apply(self.weight, rows, self.padding_idx)


class _LookupFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_VD: Tensor, rows: Tensor, padding: int | None) -> Tensor:
        flat_N = rows.reshape(-1)
        ctx.save_for_backward(flat_N)
        ctx.shape, ctx.padding = table_VD.shape, padding
        return table_VD.index_select(0, flat_N).view(*rows.shape, table_VD.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (flat_N,) = ctx.saved_tensors
        summed_VD = gradient.new_zeros(ctx.shape).index_add_(0, flat_N, gradient.reshape(-1, ctx.shape[1]))
        if ctx.padding is not None:
            summed_VD[ctx.padding].zero_()
        return summed_VD, None, None


class FrequencyCutEmbedding(nn.Module):
    """Embedding of ids that occur at least `minimum` times in training; rarer ids share the unknown row.

    The padding vector is zero. In training, a share of the ids is replaced by the unknown id, which trains that row and
    regularizes: otherwise the embeddings overfit in the second epoch.

    Args:
        counts_V: Occurrences of each vocabulary index in training; indices 0 and 1 are padding and unknown.
        width: Embedding size.
        minimum: Smallest count of an id with its own row.
        id_dropout: Share of the ids replaced by the unknown id in training.
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
        """Vectors [..., D] of ids [...]; ids outside the vocabulary are unknown."""
        clamped = ids.clamp(0, len(self.row_of_V) - 1)
        rows = self.row_of_V[torch.where(clamped == ids, ids, UNKNOWN)].long()
        if self.training and self.id_dropout > 0:
            dropped = (torch.rand(rows.shape, device=rows.device) < self.id_dropout) & (rows > UNKNOWN)
            rows = rows.masked_fill(dropped, UNKNOWN)
        return self.table(rows)


class Dice(nn.Module):
    """Dice activation: x·(p + (1−p)·α), where p is the sigmoid of x normalized over the batch.

    Zhou et al., "Deep Interest Network for Click-Through Rate Prediction" (KDD 2018), arXiv 1706.06978. Difference:
    epsilon is 1e-5 rather than 1e-8, for float32.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(width, affine=False)
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape [..., width]; a single row in training has no variance and uses the running statistics."""
        rows, normalise = x.reshape(-1, x.shape[-1]), self.normalise
        if self.training and len(rows) > 1:
            cast(Tensor, normalise.num_batches_tracked).add_(1)
            activated: Tensor = _DiceFunction.apply(
                rows, self.alpha, normalise.running_mean, normalise.running_var, normalise.momentum, normalise.eps
            )
            return activated.view_as(x)
        scale, shift = self.normalization()
        gate = torch.addcmul(shift, rows, scale).sigmoid_()
        return (rows * torch.addcmul(self.alpha, gate, 1 - self.alpha)).view_as(x)

    def normalization(self) -> tuple[Tensor, Tensor]:
        """Scale and shift [width] that normalize x at inference."""
        mean, variance = cast(Tensor, self.normalise.running_mean), cast(Tensor, self.normalise.running_var)
        scale = (variance + self.normalise.eps).rsqrt()
        return scale, -mean * scale


class _DiceFunction(torch.autograd.Function):
    """Dice of rows with their own statistics and a manual gradient, which avoids repeated passes over the rows."""

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
    def backward(ctx: Any, gradient_NH: Tensor) -> tuple[Tensor | None, ...]:
        rows_NH, alpha_H, gate_NH, mean_H, scale_H = ctx.saved_tensors
        factor_gradient_NH = gradient_NH * rows_NH
        alpha_gradient_H = factor_gradient_NH.sum(0) - (factor_gradient_NH * gate_NH).sum(0)
        gate_gradient_NH = factor_gradient_NH.mul_(1 - alpha_H)
        normal_gradient_NH = torch.ops.aten.sigmoid_backward(gate_gradient_NH, gate_NH)
        rows_gradient_NH, _, _ = torch.ops.aten.native_batch_norm_backward(
            normal_gradient_NH, rows_NH, None, None, None, mean_H, scale_H, True, ctx.eps, [True, False, False]
        )
        rows_gradient_NH.addcmul_(gradient_NH, torch.addcmul(alpha_H, gate_NH, 1 - alpha_H))
        return rows_gradient_NH, alpha_gradient_H, None, None, None, None


class MultilayerPerceptron(nn.Module):
    """Linear layers of the given widths with Dice and dropout in between."""

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
        return self.layers(x)


class PiecewiseLinear(nn.Module):
    """Piecewise linear encoding of numeric features over quantiles.

    Piece k of a feature is 0 below its lower quantile, 1 above its upper quantile and linear in between. Outliers
    saturate, so the encoding is bounded. Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep
    Learning" (NeurIPS 2022), arXiv 2203.05556.
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
        """Set the pieces to the quantiles of a sample of training rows."""
        edges_KF = torch.quantile(sample_NF.float(), torch.linspace(0, 1, self.pieces + 1), dim=0)
        self.lower_FK.copy_(edges_KF[:-1].T)
        # A piece between equal quantiles becomes a step of the smallest width that is safe to divide by.
        self.width_FK.copy_((edges_KF[1:] - edges_KF[:-1]).T.clamp(min=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Encoding [..., F·K] of x [..., F], in [0, 1]."""
        # In place, since the encoding of hundreds of candidates takes megabytes.
        return (x.unsqueeze(-1) - self.lower_FK).div_(self.width_FK).clamp_(0, 1).flatten(-2)


def masked_mean(values_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Mean over the valid positions [B, D]; zeros for a row without any."""
    mask_BL1 = mask_BL.unsqueeze(-1).to(values_BLD.dtype)
    return (values_BLD * mask_BL1).sum(1) / mask_BL1.sum(1).clamp(min=1)


def _pair_batches(requests: int, candidates: int, events: int) -> Iterator[tuple[slice, slice]]:
    """Slices of requests and candidates whose pairs with the events fit in the CPU cache."""
    candidate_step = min(candidates, max(1, PAIR_BATCH_SIZE // max(events, 1)))
    request_step = max(1, PAIR_BATCH_SIZE // max(events * candidate_step, 1))
    for b in range(0, requests, request_step):
        for c in range(0, candidates, candidate_step or 1):
            yield slice(b, b + request_step), slice(c, c + candidate_step)


class AttentionUnit(nn.Module):
    """Target attention of the Deep Interest Network (Zhou et al., KDD 2018, arXiv 1706.06978).

    The weight of event a for candidate e is a small network of [e, a, e−a, e·a] without softmax, so that
    the intensity of an interest is kept. Padding changes neither the weights nor the statistics of Dice.
    """

    def __init__(self, width: int, hidden: Sequence[int] = (80, 40)) -> None:
        super().__init__()
        first, *rest = hidden
        self.first = nn.Linear(4 * width, first)
        self.activation = Dice(first)
        self.rest = MultilayerPerceptron([first, *rest, 1])

    def weights(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Attention weights [B, C, L]; zero at masked events.

        For a fixed candidate e, the first layer is linear in the event a: its matrix is W_a − W_d + diag(e) W_p, and
        the terms of e alone are a bias. Each pair therefore costs one product with that matrix.
        """
        if len(self.rest.layers) == 1 and not (self.training or torch.is_grad_enabled()):
            score_BLC = self._scores_inference(item_BCD, event_BLD).masked_fill_(~mask_BL.unsqueeze(-1), 0.0)
        else:
            score_BLC = self._scores_general(item_BCD, event_BLD, mask_BL)
        return score_BLC.transpose(1, 2)

    def _scores_general(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        item_weight, event_weight, difference_weight, product_weight = self.first.weight.T.chunk(4)
        bias_BCH, matrix_D1H = (
            item_BCD @ (item_weight + difference_weight) + self.first.bias,
            (event_weight - difference_weight)[:, None],
        )
        item_BDC1 = item_BCD.transpose(1, 2).contiguous().unsqueeze(-1)
        matrix_BDCH = torch.addcmul(matrix_D1H, item_BDC1, product_weight.unsqueeze(1))
        hidden_BLX = torch.baddbmm(bias_BCH.flatten(1).unsqueeze(1), event_BLD, matrix_BDCH.flatten(2))
        return self._scores(hidden_BLX, mask_BL)

    def _scores(self, hidden_BLX: Tensor, mask_BL: Tensor) -> Tensor:
        """Scores [B, L, C] of the first layer's output [B, L, C·H]; masked events get 0."""
        H = len(self.first.bias)
        valid_N = mask_BL.flatten().nonzero().squeeze(1)
        hidden_NCH = hidden_BLX.flatten(0, 1).index_select(0, valid_N).unflatten(-1, (-1, H))
        score_NC = self.rest(self.activation(hidden_NCH)).squeeze(-1)
        score_XC = score_NC.new_zeros(mask_BL.numel(), score_NC.shape[1]).index_copy(0, valid_N, score_NC)
        return score_XC.unflatten(0, mask_BL.shape)

    def _scores_inference(self, item_BCD: Tensor, event_BLD: Tensor) -> Tensor:
        """Scores [B, L, C] at inference, with Dice and the single remaining layer merged.

        With z = s·x + t, the score is the sum of w·x·(α + (1−α)·σ(z)) = w·(z − t)/s · (α + (1−α)·σ(z)). The part
        that is linear in z is linear in the event too, so it is computed without forming pairs.
        """
        (scale_H, shift_H), alpha_H, last = self.activation.normalization(), self.activation.alpha, self.rest.layers[0]
        item_weight, event_weight, difference_weight, product_weight = (self.first.weight.T * scale_H).chunk(4)
        matrix_DH, bias_BCH = event_weight - difference_weight, item_BCD @ (item_weight + difference_weight)
        bias_BCH += self.first.bias * scale_H + shift_H
        weight_H = cast(Tensor, last.weight)[0] / scale_H
        linear_H, gated_H = weight_H * alpha_H, weight_H * (1 - alpha_H)
        item_BDC = item_BCD.transpose(1, 2).contiguous()
        linear_BDC = torch.addcmul((matrix_DH @ linear_H)[:, None], item_BDC, (product_weight @ linear_H)[:, None])
        linear_B1C = (bias_BCH @ linear_H + (cast(Tensor, last.bias) - shift_H @ linear_H)).unsqueeze(1)
        score_BLC = torch.baddbmm(linear_B1C, event_BLD, linear_BDC)
        (B, L, C), H, shifted_H = score_BLC.shape, len(alpha_H), -shift_H * gated_H
        # Memory of the pairs is allocated once.
        normal_X, gate_X = event_BLD.new_empty(2, H * max(L, PAIR_BATCH_SIZE))
        for rows, columns in _pair_batches(B, C, L):
            item_BDC1 = item_BDC[rows, :, columns].unsqueeze(-1)
            matrix_BDX = torch.addcmul(matrix_DH[:, None], item_BDC1, product_weight[:, None]).flatten(2)
            bias_B1X = bias_BCH[rows, columns].flatten(1).unsqueeze(1)
            shape_BLC = len(matrix_BDX), L, item_BDC1.shape[2]
            normal_NH, gate_NH = (buffer[: H * math.prod(shape_BLC)].view(-1, H) for buffer in (normal_X, gate_X))
            torch.baddbmm(bias_B1X, event_BLD[rows], matrix_BDX, out=normal_NH.view(*shape_BLC[:2], -1))
            torch.sigmoid(normal_NH, out=gate_NH)
            gated_N = torch.mv(gate_NH, shifted_H).addmv_(gate_NH.mul_(normal_NH), gated_H)
            score_BLC[rows, :, columns] += gated_N.view(shape_BLC)
        return score_BLC

    def forward(self, item_BCD: Tensor, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Weighted sum of the valid events for each candidate [B, C, D]; zeros for a user without events."""
        return self.weights(item_BCD, event_BLD, mask_BL) @ event_BLD
