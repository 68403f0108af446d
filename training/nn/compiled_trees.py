"""Scores of boosted trees, compiled: faster than LightGBM for the hundreds of candidates of a request.

QuickScorer: Lucchese et al. 2015, "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression
Trees", SIGIR. A candidate has one bit per leaf of a tree. A node whose test fails clears the bits of the leaves below its
first child; the first bit that is left is the candidate's leaf. Each node is one loop over the candidates without a branch,
which the processor computes for many candidates at once. Differs: nodes that test features of the request, which are the
same for all its candidates, are resolved first, and the subtree that is out of reach is skipped. Results equal LightGBM's.

Shape letters: B requests, C candidates, N features of candidates, U features of the request, T trees, M nodes, X hashes.
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
    """Nodes of all trees, parents before their children, the first child next to its parent.

    `feature_M` is compared with `threshold_M`; above it, the leaves below the first child are out of reach: those whose bits
    are not in `kept_M`. The second child is `second_M`; 0 for leaves. `end_M` is the first node after the subtree.
    `value_TX`: values of the leaves by the hashes of their bits.
    """

    feature_M: NDArray[np.int32]
    threshold_M: Floats
    kept_M: Bits
    second_M: NDArray[np.int32]
    end_M: NDArray[np.int32]
    root_T: NDArray[np.int32]
    value_TX: NDArray[np.float64]

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> TreeNodes | None:
        """Return the nodes of a booster; None if it has nodes other than threshold tests, or trees with too many leaves."""
        rows: list[list[float]] = []
        kept: list[int] = []
        roots, values = [], []
        for tree in booster.dump_model()["tree_info"]:
            roots.append(len(rows))
            leaves: list[float] = []
            if not _append_nodes(tree["tree_structure"], rows, kept, leaves) or len(leaves) > MAX_LEAVES:
                return None
            value_X = np.zeros(MAX_LEAVES)
            value_X[_hash_leaves(np.uint64(1) << np.arange(len(leaves), dtype=np.uint64))] = leaves
            values.append(value_X)
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
        feature_M, second_M, end_M = (table[:, column].astype(np.int32) for column in (0, 2, 3))
        kept_M, root_T = np.array(kept, dtype=np.uint64), np.array(roots, dtype=np.int32)
        return cls(
            feature_M,
            _round_down(table[:, 1]),
            kept_M,
            second_M,
            end_M,
            root_T,
            np.array(values).reshape(len(roots), MAX_LEAVES),
        )


def _append_nodes(node: dict[str, Any], rows: list[list[float]], kept: list[int], leaves: list[float]) -> bool:
    """Append the node and those below it; return False if a node type is not supported."""
    number, first_leaf = len(rows), len(leaves)
    rows.append([0, 0.0, 0, 0])
    kept.append(0)
    if "leaf_value" in node:
        leaves.append(node["leaf_value"])
    elif (node["decision_type"], node["missing_type"]) != ("<=", "None"):
        return False
    else:
        if not _append_nodes(node["left_child"], rows, kept, leaves):
            return False
        rows[number][:3] = node["split_feature"], node["threshold"], len(rows)
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
    feature_M, threshold_M, kept_M, second_M, end_M, root_T, value_TX = nodes
    (B, C, _), U = feature_BCN.shape, context_BU.shape[1]
    bits_C = np.empty(C, dtype=np.uint64)
    next_M = np.empty(len(feature_M), dtype=np.int32)  # first node from this one on, itself included, within reach
    for b in range(B):
        feature_NC = feature_BCN[b].T.copy()
        next_M[:] = np.arange(len(feature_M))
        for t, root in enumerate(root_T):
            bits_C[:] = ~np.uint64(0)
            n = root
            while n < end_M[root]:
                if next_M[n] != n:
                    n = next_M[n]
                elif second_M[n] == 0:
                    n += 1
                elif feature_M[n] >= U:
                    _keep_leaves(bits_C, feature_NC[feature_M[n] - U], threshold_M[n], kept_M[n])
                    n += 1
                elif context_BU[b, feature_M[n]] > threshold_M[n]:
                    bits_C &= kept_M[n]
                    n = second_M[n]
                else:
                    next_M[second_M[n]] = end_M[n]
                    n += 1
            _add_leaves(bits_C, value_TX[t], score_BC[b])


@compiled
def _keep_leaves(bits_C: Bits, feature_C: Floats, threshold: np.float32, kept: np.uint64) -> None:
    for c in range(len(bits_C)):
        bits_C[c] &= kept if feature_C[c] > threshold else ~np.uint64(0)


@compiled
def _add_leaves(bits_C: Bits, value_X: NDArray[np.float64], score_C: NDArray[np.float64]) -> None:
    for c in range(len(bits_C)):
        first = bits_C[c] & (~bits_C[c] + np.uint64(1))
        score_C[c] += value_X[(first * HASH_MULTIPLIER) >> HASH_SHIFT]
