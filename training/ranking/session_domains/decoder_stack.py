"""Candidate decoders of one request as one stack, for inference: a third less time than one after the other.

All decoders read the same kind of input with their own weights, so each operator runs once over the stack, and the affine
parts of normalizations are merged into the projections that follow them. Results equal `CandidateDecoder` up to rounding.

Shape letters: G decoders, C candidates, N events of a sequence, D width, H heads, d width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.ranking.session_domains.layers import CandidateDecoder


class DecoderStack:
    """Merged weights of decoders in evaluation mode; computed once, so they must not change any more."""

    def __init__(self, decoders: Sequence[CandidateDecoder]) -> None:
        self.heads = decoders[0].attention.heads if decoders else 1
        self.weights = tuple(torch.stack(parts) for parts in zip(*map(_merged_weights, decoders), strict=True))

    def __call__(self, query_XCD: Tensor, keys_values: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
        """Return the interests of sequences in candidates [G, C, D].

        Args:
            query_XCD: Query of each decoder, or one query of all (X = 1).
            keys_values: `CandidateDecoder.project_keys_values` of the sequences, which have events only.
            numbers: Decoder of each sequence.
        """
        weights = self.weights
        if len(numbers) < len(weights[0]):
            index_G = torch.tensor(numbers)
            weights = tuple(weight.index_select(0, index_G) for weight in weights)
        query_weight, query_bias, output_weight, inner_weight, inner_bias, outer_weight, outer_bias = weights
        (_, C, D), G, H = query_XCD.shape, len(numbers), self.heads
        normal_GCD = F.layer_norm(query_XCD, (D,)).expand(G, C, D)
        query_GHCd = torch.baddbmm(query_bias, normal_GCD, query_weight).view(G, C, H, D // H).transpose(1, 2)
        attended_GCHd = query_XCD.new_empty(G, C, H, D // H)
        for query_HCd, (key_1HNd, value_1HNd), attended_CHd in zip(query_GHCd, keys_values, attended_GCHd, strict=True):
            weight_HCN = (query_HCd @ key_1HNd[0].transpose(1, 2)).softmax(-1)
            attended_CHd.copy_((weight_HCN @ value_1HNd[0]).transpose(0, 1))
        attended_GCD = torch.bmm(attended_GCHd.flatten(2), output_weight)
        inner_GCX = F.gelu(torch.baddbmm(inner_bias, F.layer_norm(attended_GCD, (D,)), inner_weight))
        return torch.baddbmm(outer_bias, inner_GCX, outer_weight).add_(attended_GCD)


def _merged_weights(decoder: CandidateDecoder) -> tuple[Tensor, ...]:
    """Return the weights as [input, output] and the biases as [1, output], in the order in which they are used."""
    attention, feed = decoder.attention, decoder.feed
    inner_norm, inner, outer = cast(nn.LayerNorm, feed[0]), cast(nn.Linear, feed[1]), cast(nn.Linear, feed[4])
    query_weight, query_bias = _merge(decoder.item_norm, attention.query)
    scale = (attention.query.out_features // attention.heads) ** -0.5  # of the logits
    inner_weight, inner_bias = _merge(inner_norm, inner)
    weights = query_weight * scale, query_bias * scale, attention.output.weight.T, inner_weight, inner_bias
    return tuple(weight.detach() for weight in (*weights, outer.weight.T, outer.bias[None]))


def _merge(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer over normalized inputs without an affine part."""
    return (linear.weight * norm.weight).T, (linear.weight @ norm.bias + linear.bias)[None]
