"""Scores of boosted trees, compiled: faster than LightGBM for the hundreds of candidates of a request.

QuickScorer: Lucchese et al. 2015, "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression
Trees", SIGIR. A candidate has one bit per leaf of a tree. A node whose test fails clears the bits of the leaves below its
first child; the first bit that is left is the candidate's leaf. Each node is one loop over the candidates without a branch,
which the processor computes for many candidates at once. Differs: a node whose threshold is outside the range of its feature
among the candidates, which is one number for features of the request, needs no loop, and the subtree that is out of reach of
all candidates is skipped. Results equal LightGBM's.

Shape letters: B requests, C candidates, N features of candidates, U features of the request, F = U + N, T trees, M nodes, X
hashes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.engine.lightgbm_import import lightgbm
from training.engine.numba_compile import compiled

Floats = NDArray[np.float32]
Bits = NDArray[np.uint64]

MAX_LEAVES = 64
MIN_CANDIDATES = 8
"""Fewer candidates a request, as in an evaluation of single plays, are scored faster by LightGBM (log, 2026-11-29)."""
HASH_MULTIPLIER, HASH_SHIFT = np.uint64(0x03F79D71B4CB0A89), np.uint64(58)
"""A de Bruijn sequence: multiplied by it, each power of two has other leading 6 bits, so they number the leaves."""


class TreeNodes(NamedTuple):
    """Inner nodes of all trees, parents before their children, those below the first child next to their parent.

    `feature_M` is compared with `threshold_M`; above it, the leaves below the first child are out of reach: those whose bits
    are not in `kept_M`. Nodes below the second child begin at `second_M`, those after both at `end_M`. Trees follow each other
    from `begin_T` on. `value_TX`: values of the leaves by the hashes of their bits.
    """

    feature_M: NDArray[np.int32]
    threshold_M: Floats
    kept_M: Bits
    second_M: NDArray[np.int32]
    end_M: NDArray[np.int32]
    begin_T: NDArray[np.int32]  # and the number of nodes
    value_TX: NDArray[np.float64]

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> TreeNodes | None:
        """Return the nodes of a booster; None if it has nodes other than threshold tests, or trees with too many leaves."""
        rows: list[list[float]] = []
        kept: list[int] = []
        begin, values = [0], []
        for tree in booster.dump_model()["tree_info"]:
            leaves: list[float] = []
            if not _append_nodes(tree["tree_structure"], rows, kept, leaves) or len(leaves) > MAX_LEAVES:
                return None
            begin.append(len(rows))
            value_X = np.zeros(MAX_LEAVES)
            value_X[_hash_leaves(np.uint64(1) << np.arange(len(leaves), dtype=np.uint64))] = leaves
            values.append(value_X)
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
        feature_M, second_M, end_M = (table[:, column].astype(np.int32) for column in (0, 2, 3))
        kept_M, begin_T = np.array(kept, dtype=np.uint64), np.array(begin, dtype=np.int32)
        value_TX = np.array(values).reshape(len(values), MAX_LEAVES)
        return cls(feature_M, _round_down(table[:, 1]), kept_M, second_M, end_M, begin_T, value_TX)


def _append_nodes(node: dict[str, Any], rows: list[list[float]], kept: list[int], leaves: list[float]) -> bool:
    """Append the inner nodes from this one on, and the leaves; return False if a node type is not supported."""
    number, first_leaf = len(rows), len(leaves)
    if "leaf_value" in node:
        leaves.append(node["leaf_value"])
        return True
    if (node["decision_type"], node["missing_type"]) != ("<=", "None"):
        return False
    rows.append([node["split_feature"], node["threshold"], 0, 0])
    kept.append(0)
    if not _append_nodes(node["left_child"], rows, kept, leaves):
        return False
    rows[number][2] = len(rows)
    kept[number] = (1 << MAX_LEAVES) - 1 - (((1 << len(leaves)) - 1) ^ ((1 << first_leaf) - 1))
    if len(leaves) > MAX_LEAVES or not _append_nodes(node["right_child"], rows, kept, leaves):
        return False
    rows[number][3] = len(rows)
    return True


def _hash_leaves(bit: Bits) -> NDArray[np.int64]:
    return ((bit * HASH_MULTIPLIER) >> HASH_SHIFT).astype(np.int64)


def _round_down(threshold_M: NDArray[np.float64]) -> Floats:
    """Return the largest float32 not above each threshold, so float32 values compare as with the original."""
    nearest_M = threshold_M.astype(np.float32)
    below_M = np.nextafter(nearest_M, np.float32(-np.inf))
    return np.where(nearest_M > threshold_M, below_M, nearest_M)


class TreeScorer:
    """Scores requests with a booster: compiled, or by LightGBM.

    LightGBM scores requests of few candidates, and all if the booster has other nodes or trees (see `TreeNodes.of`).
    """

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster, self._features = booster, booster.num_feature()
        self.nodes = TreeNodes.of(booster)

    def predict(self, context_BU: Floats, feature_BCN: Floats) -> NDArray[np.float64]:
        """Return the sum of the trees [B, C]. Runs on the calling thread.

        Args:
            context_BU: The first U features: those of the requests.
            feature_BCN: The other features: those of each candidate.

        Raises:
            ValueError: The trees were fitted on another number of features. The compiled function does not check it and would
                read outside of its arrays.
        """
        (B, C, N), U = feature_BCN.shape, context_BU.shape[1]
        if self._features != U + N:
            raise ValueError(
                f"candidates have {U} + {N} features, the trees were fitted on {self._features}; "
                "fit the model again with this version of the features"
            )
        score_BC = np.zeros((B, C))
        if not score_BC.size:
            return score_BC
        if self.nodes is not None and C >= MIN_CANDIDATES:
            _sum_trees(self.nodes, np.ascontiguousarray(context_BU), np.ascontiguousarray(feature_BCN), score_BC)
            return score_BC
        rows = np.concatenate([np.broadcast_to(context_BU[:, None], (B, C, U)), feature_BCN], axis=2)
        score_R = self.booster.predict(rows.reshape(B * C, -1), raw_score=True, num_threads=1)
        return np.asarray(score_R, dtype=np.float64).reshape(B, C)


@compiled
def _sum_trees(nodes: TreeNodes, context_BU: Floats, feature_BCN: Floats, score_BC: NDArray[np.float64]) -> None:
    """Add the trees to the scores."""
    feature_M, threshold_M, kept_M, second_M, end_M, begin_T, value_TX = nodes
    (B, C, N), U, M = feature_BCN.shape, context_BU.shape[1], len(feature_M)
    bits_C = np.empty(C, dtype=np.uint64)
    low_F, high_F = np.empty((2, U + N), dtype=np.float32)
    next_M1 = np.empty(M + 1, dtype=np.int32)  # first node from this one on, itself included, within reach
    for b in range(B):
        feature_NC = feature_BCN[b].T.copy()
        low_F[:U], high_F[:U] = context_BU[b], context_BU[b]
        for n in range(N):
            low_F[U + n], high_F[U + n] = feature_NC[n].min(), feature_NC[n].max()
        next_M1[:] = np.arange(M + 1)
        for t in range(len(value_TX)):
            bits_C[:], kept = ~np.uint64(0), ~np.uint64(0)
            m = begin_T[t]
            while m < begin_T[t + 1]:
                if next_M1[m] != m:
                    m = next_M1[m]
                elif low_F[feature_M[m]] > threshold_M[m]:
                    kept &= kept_M[m]
                    m = second_M[m]
                else:
                    if high_F[feature_M[m]] <= threshold_M[m]:
                        next_M1[second_M[m]] = end_M[m]
                    else:
                        _keep_leaves(bits_C, feature_NC[feature_M[m] - U], threshold_M[m], kept_M[m])
                    m += 1
            _add_leaves(bits_C, kept, value_TX[t], score_BC[b])


@compiled
def _keep_leaves(bits_C: Bits, feature_C: Floats, threshold: np.float32, kept: np.uint64) -> None:
    for c in range(len(bits_C)):
        bits_C[c] &= kept if feature_C[c] > threshold else ~np.uint64(0)


@compiled
def _add_leaves(bits_C: Bits, kept: np.uint64, value_X: NDArray[np.float64], score_C: NDArray[np.float64]) -> None:
    for c in range(len(bits_C)):
        bits = bits_C[c] & kept
        first = bits & (~bits + np.uint64(1))
        score_C[c] += value_X[(first * HASH_MULTIPLIER) >> HASH_SHIFT]
