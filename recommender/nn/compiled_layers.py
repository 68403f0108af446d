"""Layers of networks for one request, compiled: a call instead of a dozen operators.

A request runs networks over some dozen rows, where torch takes longer between operators than in them. These functions
compute the same as the modules that were trained, up to rounding, on arrays of float32. They are all in this file, because
Numba does not notice changes of functions in other files that a compiled function calls. Loops index arrays, since loops over
rows are not computed for several numbers at once.

Shape letters: N rows, C queries, D width, I inputs, O outputs, H heads, d width of a head; S routings, K interests, L listens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.array_types import Floats, Weights
from recommender.compiled import compiled, compiled_reordering

EPSILON = np.float32(1e-5)
"""Added to variances, as in `nn.LayerNorm`."""


class Dense(NamedTuple):
    """A linear layer."""

    weight_IO: Floats
    bias_O: Floats

    @classmethod
    def of(cls, weights: Weights, name: str, norm: str | None = None) -> Dense:
        """The layer of a name, with the affine part of the normalization before it: its input has mean 0 and variance 1."""
        weight_OI: Floats = weights[f"{name}.weight"]
        bias_O = weights.get(f"{name}.bias", np.zeros(len(weight_OI), np.float32))
        if norm is not None:
            bias_O = bias_O + weight_OI @ weights[f"{norm}.bias"]
            weight_OI = weight_OI * weights[f"{norm}.weight"]
        return cls(np.ascontiguousarray(weight_OI.T), bias_O)

    def scale_first(self, outputs: int, factor: float) -> Dense:
        """The layer with its first outputs multiplied by a factor."""
        factor_O = np.where(np.arange(len(self.bias_O)) < outputs, np.float32(factor), np.float32(1))
        return Dense(self.weight_IO * factor_O, self.bias_O * factor_O)


class Block(NamedTuple):
    """A pre-norm attention block with its normalizations and the scale of the logits merged. See `TransformerBlock`."""

    projections: Dense  # queries, keys and values
    output: Dense
    inner: Dense
    outer: Dense


class Decoder(NamedTuple):
    """A `CandidateDecoder` with its normalizations and the scale of the logits merged, and the layer after it."""

    query: Dense
    keys_values: Dense
    output: Dense
    inner: Dense
    outer: Dense
    hidden_XO: Floats  # weights of the interest, then of its product with the candidate


@compiled_reordering
def exponential(x: np.float32) -> np.float32:
    """exp(x) of x below 88, to 1e-7 of its value: 2 ** n times a polynomial (Cephes), which is computed for many x at once."""
    x = max(x, np.float32(-87))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    x = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    y = np.float32(1.9875691500e-4)
    y = y * x + np.float32(1.3981999507e-3)
    y = y * x + np.float32(8.3334519073e-3)
    y = y * x + np.float32(4.1665795894e-2)
    y = y * x + np.float32(1.6666665459e-1)
    y = y * x + np.float32(5.0000001201e-1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (y * x * x + x + np.float32(1)) * power


@compiled_reordering
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x))."""
    return np.float32(1) / (np.float32(1) + exponential(-x))


@compiled_reordering
def gelu(x_NO: Floats) -> None:
    """Replace each x by x times the normal distribution function of x, to 5e-7 (Abramowitz and Stegun, 7.1.26)."""
    for n in range(len(x_NO)):
        for o in range(x_NO.shape[1]):
            x = x_NO[n, o]
            z = abs(x) * np.float32(0.70710678)
            t = np.float32(1) / (np.float32(1) + np.float32(0.3275911) * z)
            y = np.float32(1.061405429) * t - np.float32(1.453152027)
            y = y * t + np.float32(1.421413741)
            y = y * t - np.float32(0.284496736)
            tail = np.float32(0.5) * (y * t + np.float32(0.254829592)) * t * exponential(-z * z)
            x_NO[n, o] = x * (np.float32(1) - tail) if x > 0 else x * tail


@compiled_reordering
def softmax(x_NC: Floats) -> None:
    """Replace each row by its softmax."""
    C = x_NC.shape[1]
    for n in range(len(x_NC)):
        largest, total = np.float32(-np.inf), np.float32(0)
        for c in range(C):
            largest = max(largest, x_NC[n, c])
        for c in range(C):
            x_NC[n, c] = exponential(x_NC[n, c] - largest)
        for c in range(C):
            total += x_NC[n, c]
        for c in range(C):
            x_NC[n, c] /= total


@compiled_reordering
def normalize(x_ND: Floats) -> Floats:
    """Rows with mean 0 and variance 1."""
    N, D = x_ND.shape
    normal_ND = np.empty_like(x_ND)
    for n in range(N):
        total, square = np.float32(0), np.float32(0)
        for d in range(D):
            total += x_ND[n, d]
        mean = total / np.float32(D)
        for d in range(D):
            square += (x_ND[n, d] - mean) * (x_ND[n, d] - mean)
        scale = np.float32(1) / np.sqrt(square / np.float32(D) + EPSILON)
        for d in range(D):
            normal_ND[n, d] = (x_ND[n, d] - mean) * scale
    return normal_ND


@compiled
def dense(x_NI: Floats, layer: Dense) -> Floats:
    """Outputs [N, O] of a linear layer."""
    y_NO: Floats = np.dot(x_NI, layer.weight_IO)
    for n in range(len(y_NO)):
        for o in range(y_NO.shape[1]):
            y_NO[n, o] += layer.bias_O[o]
    return y_NO


@compiled
def feed_forward(x_NI: Floats, inner: Dense, outer: Dense) -> Floats:
    """Two linear layers with GELU between them [N, O]."""
    hidden_NO = dense(x_NI, inner)
    gelu(hidden_NO)
    return dense(hidden_NO, outer)


@compiled
def attend(query_CD: Floats, key_ND: Floats, value_ND: Floats, heads: int, is_causal: bool) -> Floats:
    """Values [C, D] weighted by the softmax of inner products, head by head.

    With `is_causal`, query c reads the first c + 1 values. The scale of the logits is part of the queries.
    """
    C, N, d = len(query_CD), len(key_ND), query_CD.shape[1] // heads
    read_CD = np.empty((C, query_CD.shape[1]), dtype=np.float32)
    for h in range(heads):
        columns = slice(h * d, (h + 1) * d)
        weight_CN = np.dot(query_CD[:, columns].copy(), key_ND[:, columns].T.copy())
        if is_causal:
            for c in range(C):
                softmax(weight_CN[c : c + 1, : c + 1])
                for n in range(c + 1, N):
                    weight_CN[c, n] = 0
        else:
            softmax(weight_CN)
        read_Cd = np.dot(weight_CN, value_ND[:, columns].copy())
        for c in range(C):
            for i in range(d):
                read_CD[c, h * d + i] = read_Cd[c, i]
    return read_CD


@compiled
def transformer_block(token_ND: Floats, block: Block, heads: int, first: int, is_causal: bool) -> Floats:
    """A block of one sequence without padding, from position `first` on; causal only from the beginning."""
    D = token_ND.shape[1]
    read_N3D = dense(normalize(token_ND), block.projections)
    attended_CD = attend(read_N3D[first:, :D], read_N3D[:, D : 2 * D], read_N3D[:, 2 * D :], heads, is_causal)
    token_CD = token_ND[first:].copy()
    token_CD += dense(attended_CD, block.output)
    token_CD += feed_forward(normalize(token_CD), block.inner, block.outer)
    return token_CD


@compiled
def route(
    logit_SKL: Floats, listen_LD: Floats, weight_L: Floats, iterations: int, sharpness: float
) -> tuple[Floats, Floats]:
    """The best of S routings of listens to K interests by their agreement: see `DynamicRouting`.

    Args:
        logit_SKL: Agreement of the listens with the initial interests, overwritten.
        listen_LD: Listens.
        weight_L: Their weights.
        iterations: Number of iterations.
        sharpness: Factor on the agreement that is added to the logits.

    Returns:
        Interest vectors [K, D] and their shares of the listens [K, L].
    """
    most, best_LK, vector_KD = -np.inf, logit_SKL[0].T.copy(), listen_LD[:0]
    for logit_KL in logit_SKL:
        for k in range(len(logit_KL)):
            row_L = logit_KL[k]
            row_L -= np.float32(row_L.mean())
            row_L /= np.float32(max(np.sqrt(np.square(row_L).mean()), 1e-6))
        logit_LK, found_KD, agreement = logit_KL.T.copy(), listen_LD[:0], 0.0
        for _ in range(iterations):
            found_KD, agreement = _weighted_sums(logit_LK, listen_LD, weight_L), 0.0
            agreement_LK = np.dot(listen_LD, found_KD.T.copy())
            logit_LK += np.float32(sharpness) * agreement_LK
            for place in range(len(weight_L)):
                agreement += agreement_LK[place].max() * weight_L[place]
        if agreement > most:
            most, best_LK, vector_KD = agreement, logit_LK, found_KD
    softmax(best_LK)
    return vector_KD, best_LK.T.copy()


@compiled
def _weighted_sums(logit_LK: Floats, listen_LD: Floats, weight_L: Floats) -> Floats:
    """Squashed sums [K, D] of the listens by their shares and weights; see `_squash`."""
    share_LK = logit_LK.copy()
    softmax(share_LK)
    sum_KD: Floats = np.dot(np.ascontiguousarray(share_LK.T) * weight_L, listen_LD)
    for k in range(len(sum_KD)):
        square = np.float32(np.square(sum_KD[k]).sum())
        sum_KD[k] *= np.sqrt(max(square, np.float32(1e-12))) / (np.float32(1) + square)
    return sum_KD


@compiled
def add_interest(
    hidden_CO: Floats, item_CD: Floats, query_CD: Floats, read_N2D: Floats, decoder: Decoder, heads: int
) -> Floats:
    """The interest [C, D] of a sequence in candidates; adds what the layer after it makes of the interest.

    Args:
        hidden_CO: Outputs of that layer, added to.
        item_CD: Candidates, whose products with the interest are inputs of the layer, too.
        query_CD: Normalized queries of the candidates.
        read_N2D: Keys and values of the sequence, at least one.
        decoder: Weights.
        heads: Number of heads.
    """
    C, D = item_CD.shape
    attended_CD = attend(dense(query_CD, decoder.query), read_N2D[:, :D], read_N2D[:, D:], heads, False)
    interest_CD = dense(attended_CD, decoder.output)
    change_CD = feed_forward(normalize(interest_CD), decoder.inner, decoder.outer)
    both_CX = np.empty((C, 2 * D), dtype=np.float32)
    for c in range(C):
        for d in range(D):
            interest_CD[c, d] += change_CD[c, d]
            both_CX[c, d], both_CX[c, D + d] = interest_CD[c, d], interest_CD[c, d] * item_CD[c, d]
    change_CO = np.dot(both_CX, decoder.hidden_XO)
    for c in range(C):
        for o in range(hidden_CO.shape[1]):
            hidden_CO[c, o] += change_CO[c, o]
    return interest_CD


@compiled_reordering
def activate_dice(x_CO: Floats, scale_O: Floats, shift_O: Floats, alpha_O: Floats) -> None:
    """Replace x by its Dice activation; scale and shift normalize it."""
    for c in range(len(x_CO)):
        for o in range(x_CO.shape[1]):
            gate = sigmoid(x_CO[c, o] * scale_O[o] + shift_O[o])
            x_CO[c, o] *= alpha_O[o] + gate * (np.float32(1) - alpha_O[o])


@compiled
def mix_experts(x_CI: Floats, experts: Dense, gates: Dense, weight_HT: Floats, bias_T: Floats) -> Floats:
    """Logits [C, T] of a `MultiGateExperts` head."""
    C, (H, T) = len(x_CI), weight_HT.shape
    hidden_CX = dense(x_CI, experts)
    gelu(hidden_CX)
    E = hidden_CX.shape[1] // H
    expert_XT = np.dot(hidden_CX.reshape(C * E, H), weight_HT)
    gate_XE = dense(x_CI, gates).reshape(C * T, E)
    softmax(gate_XE)
    expert_CTE = np.ascontiguousarray(expert_XT.reshape(C, E, T).transpose(0, 2, 1))
    return (gate_XE.reshape(C, T, E) * expert_CTE).sum(axis=2) + bias_T


@compiled_reordering
def unit_rows(x_ND: Floats) -> Floats:
    """Rows divided by their length, as `functional.normalize`."""
    unit_ND = np.empty_like(x_ND)
    for n in range(len(x_ND)):
        square = np.float32(0)
        for d in range(x_ND.shape[1]):
            square += x_ND[n, d] * x_ND[n, d]
        length = max(np.sqrt(square), np.float32(1e-12))
        for d in range(x_ND.shape[1]):
            unit_ND[n, d] = x_ND[n, d] / length
    return unit_ND
