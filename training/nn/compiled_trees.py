"""Scores of boosted trees, compiled: faster than LightGBM for the hundreds of candidates of a request.

Features of the request are the same for all its candidates, so nodes that test them are resolved once per request. Then all
candidates take a step of a tree together, and a leaf leads to itself: no branch depends on the data, and the processor
overlaps the steps of different candidates. Results equal LightGBM's.

Shape letters: B requests, C candidates, N features of candidates, U features of the request, T trees, M nodes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.engine.compiled import compiled

Floats = NDArray[np.float32]


class TreeNodes(NamedTuple):
    """Nodes of all trees, parents before their children. A leaf is its own child.

    `feature_M` is compared with `threshold_M`; above it the second child follows. `value_M` is 0 for inner nodes.
    """

    feature_M: NDArray[np.int32]
    threshold_M: Floats
    child_M2: NDArray[np.int32]
    value_M: NDArray[np.float64]
    root_T: NDArray[np.int32]

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> TreeNodes | None:
        """Return the nodes of a booster; None if it has nodes other than threshold tests."""
        rows: list[tuple[int, float, int, int, float]] = []
        roots = []
        for tree in booster.dump_model()["tree_info"]:
            roots.append(len(rows))
            if not _append_nodes(tree["tree_structure"], rows):
                return None
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 5)
        feature_M, child_M2 = table[:, 0].astype(np.int32), table[:, 2:4].astype(np.int32)
        return cls(feature_M, _round_down(table[:, 1]), child_M2, table[:, 4].copy(), np.array(roots, dtype=np.int32))


def _append_nodes(node: dict[str, Any], rows: list[tuple[int, float, int, int, float]]) -> bool:
    """Append the node and those below it; return False if a node type is not supported."""
    number = len(rows)
    if "leaf_value" in node:
        rows.append((0, 0.0, number, number, node["leaf_value"]))
        return True
    if (node["decision_type"], node["missing_type"]) != ("<=", "None"):
        return False
    rows.append((0, 0.0, 0, 0, 0.0))
    if not _append_nodes(node["left_child"], rows):
        return False
    right = len(rows)
    rows[number] = node["split_feature"], node["threshold"], number + 1, right, 0.0
    return _append_nodes(node["right_child"], rows)


def _round_down(threshold_M: NDArray[np.float64]) -> Floats:
    """Return the largest float32 not above each threshold, so float32 values compare as with the original."""
    nearest_M = threshold_M.astype(np.float32)
    below_M = np.nextafter(nearest_M, np.float32(-np.inf))
    return np.where(nearest_M > threshold_M, below_M, nearest_M)


class TreeScorer:
    """Scores requests with a booster: compiled, or by LightGBM if the booster has nodes other than threshold tests."""

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster = booster
        self.nodes = TreeNodes.of(booster)

    def predict(self, context_BU: Floats, feature_BCN: Floats) -> NDArray[np.float64]:
        """Return the sum of the trees [B, C]. Runs on the calling thread.

        Args:
            context_BU: The first U features: those of the requests.
            feature_BCN: The other features: those of each candidate.
        """
        (B, C, _), U = feature_BCN.shape, context_BU.shape[1]
        if self.nodes is not None:
            score_BC = np.zeros((B, C))
            _sum_trees(*self.nodes, np.ascontiguousarray(context_BU), np.ascontiguousarray(feature_BCN), score_BC)
            return score_BC
        rows = np.concatenate([np.broadcast_to(context_BU[:, None], (B, C, U)), feature_BCN], axis=2)
        score_R = self.booster.predict(rows.reshape(B * C, -1), raw_score=True, num_threads=1)
        return np.asarray(score_R, dtype=np.float64).reshape(B, C)


@compiled
def _sum_trees(
    feature_M: NDArray[np.int32],
    threshold_M: Floats,
    child_M2: NDArray[np.int32],
    value_M: NDArray[np.float64],
    root_T: NDArray[np.int32],
    context_BU: Floats,
    feature_BCN: Floats,
    score_BC: NDArray[np.float64],
) -> None:
    """Add the trees to the scores."""
    B, C, _ = feature_BCN.shape
    U = context_BU.shape[1]
    candidate_feature_M = np.maximum(feature_M - U, 0)
    resolved_M = np.empty_like(feature_M)  # first node from this one on, itself included, that depends on the candidate
    depth_M = np.empty_like(feature_M)  # largest number of steps from there to a leaf
    next_M2, node_C = np.empty_like(child_M2), np.empty(C, dtype=np.int32)
    for b in range(B):
        for n in range(len(feature_M) - 1, -1, -1):
            left, right = child_M2[n]
            resolved_M[n], depth_M[n] = n, 0
            if left != n:
                left, right = resolved_M[left], resolved_M[right]
                depth_M[n] = 1 + max(depth_M[left], depth_M[right])
                if feature_M[n] < U:
                    resolved_M[n] = right if context_BU[b, feature_M[n]] > threshold_M[n] else left
                    depth_M[n] = depth_M[resolved_M[n]]
            next_M2[n, 0], next_M2[n, 1] = left, right
        for root in root_T:
            node_C[:] = resolved_M[root]
            for _ in range(depth_M[root]):
                for c in range(C):
                    n = node_C[c]
                    is_above = feature_BCN[b, c, candidate_feature_M[n]] > threshold_M[n]
                    node_C[c] = next_M2[n, np.int32(is_above)]
            for c in range(C):
                score_BC[b, c] += value_M[node_C[c]]
