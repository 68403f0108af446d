"""QuickScorer: evaluates boosted trees by bit masks instead of traversal, which avoids branch mispredictions.

Lucchese et al. 2015, "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees",
SIGIR. The leaves of a tree are bits, left to right. A node whose feature is above its threshold excludes the leaves on
its left; the first leaf that no node excludes is the exit leaf. Differs: the combined mask of all nodes of a tree that
test one feature is looked up by the rank of the feature's value among the thresholds of all trees. Results equal
LightGBM's.

Shape letters: B requests, C candidates, R rows, N features, U user features, T trees, P trees of a round, X table
entries, M thresholds, V leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_LEAVES = 31
ALL_LEAVES = (1 << MAX_LEAVES) - 1
ROW_BATCH_SIZE = 2_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Node:
    """Inner node: a row with the feature above the threshold exits in no leaf from `first_leaf` to `end_leaf` - 1."""

    feature: int
    threshold: float
    first_leaf: int
    end_leaf: int


@dataclass(frozen=True)
class FeatureRound:
    """One feature of each of the first P trees, in descending order of their number of features.

    `feature_P`: its position in `LeafMasks.features`; `leaf_mask_X`: remaining leaves by number of thresholds below the
    value, concatenated over the trees; `offset_P1`: first table entry of each tree.
    """

    feature_P: Tensor
    offset_P1: Tensor
    leaf_mask_X: Tensor


class LeafMasks:
    """Bit masks of the leaves that the nodes of each tree leave, for a subset of the features."""

    def __init__(self, nodes_T: Sequence[Sequence[Node]]) -> None:
        thresholds: dict[int, set[float]] = defaultdict(set)
        for node in (node for nodes in nodes_T for node in nodes):
            thresholds[node.feature].add(node.threshold)
        self.features = sorted(thresholds)
        sorted_N = [np.array(sorted(thresholds[feature])) for feature in self.features]
        max_thresholds = max(map(len, sorted_N), default=0)
        threshold_NM = np.full((len(sorted_N), max_thresholds), np.inf, dtype=np.float32)
        for row_M, feature_thresholds in zip(threshold_NM, sorted_N, strict=True):
            row_M[: len(feature_thresholds)] = _round_down(feature_thresholds)
        self.threshold_NM = torch.from_numpy(threshold_NM)
        positions_T = [sorted({self.features.index(node.feature) for node in nodes}) for nodes in nodes_T]
        order_T = np.argsort([-len(positions) for positions in positions_T], kind="stable")
        self.inverse_order_T = torch.from_numpy(np.argsort(order_T))
        self.rounds = list(
            self._rounds([nodes_T[tree] for tree in order_T], [positions_T[tree] for tree in order_T], sorted_N)
        )

    def _rounds(
        self,
        nodes_T: Sequence[Sequence[Node]],
        positions_T: Sequence[Sequence[int]],
        sorted_N: Sequence[NDArray[np.float64]],
    ) -> Iterator[FeatureRound]:
        for number in range(max(map(len, positions_T), default=0)):
            position_P = [positions[number] for positions in positions_T if len(positions) > number]
            masks = []
            for position, nodes in zip(position_P, nodes_T, strict=False):
                masks.append(np.full(len(sorted_N[position]) + 1, ALL_LEAVES, dtype=np.int64))
                for node in (node for node in nodes if node.feature == self.features[position]):
                    first_above = np.searchsorted(sorted_N[position], node.threshold) + 1
                    masks[-1][first_above:] &= ~((1 << node.end_leaf) - (1 << node.first_leaf))
            offset_P = np.cumsum([0, *map(len, masks[:-1])])
            yield FeatureRound(
                torch.tensor(position_P),
                torch.from_numpy(offset_P.astype(np.int32)).unsqueeze(1),
                torch.from_numpy(np.concatenate(masks).astype(np.int32)),
            )

    def remaining_leaves(self, feature_RN: Floats) -> Tensor:
        """Return the leaves of each tree that no node excludes, as bits [T, R]."""
        leaves_TR = torch.full((len(self.inverse_order_T), len(feature_RN)), ALL_LEAVES, dtype=torch.int32)
        if not self.rounds:
            return leaves_TR
        feature_NR = torch.from_numpy(np.ascontiguousarray(feature_RN.T[self.features]))
        below_NR = torch.searchsorted(self.threshold_NM, feature_NR, out_int32=True)
        for feature_round in self.rounds:
            entry_PR = below_NR.index_select(0, feature_round.feature_P).add_(feature_round.offset_P1)
            mask_PR = feature_round.leaf_mask_X.index_select(0, entry_PR.view(-1)).view_as(entry_PR)
            leaves_TR[: len(entry_PR)] &= mask_PR
        return leaves_TR.index_select(0, self.inverse_order_T)


class QuickScorer:
    """A booster's trees; the first `user_features` features belong to the request and are shared by its candidates."""

    def __init__(self, nodes_T: Sequence[Sequence[Node]], value_TV: NDArray[np.float64], user_features: int) -> None:
        self.user_masks = LeafMasks([[node for node in nodes if node.feature < user_features] for nodes in nodes_T])
        self.candidate_masks = LeafMasks(
            [
                [replace(node, feature=node.feature - user_features) for node in nodes if node.feature >= user_features]
                for nodes in nodes_T
            ]
        )
        self.value_X, self.offset_T1 = value_TV.ravel(), np.arange(0, value_TV.size, MAX_LEAVES)[:, None]

    @classmethod
    def from_booster(cls, booster: lightgbm.Booster, user_features: int) -> QuickScorer | None:
        """Return the scorer; None for nodes other than threshold tests, or trees with more than MAX_LEAVES leaves."""
        nodes_T, value_TV = [], []
        for tree in booster.dump_model()["tree_info"]:
            nodes: list[Node] = []
            values: list[float] = []
            if not _parse_tree(tree["tree_structure"], nodes, values) or len(values) > MAX_LEAVES:
                return None
            nodes_T.append(nodes)
            value_TV.append(values + [0.0] * (MAX_LEAVES - len(values)))
        return cls(nodes_T, np.array(value_TV).reshape(-1, MAX_LEAVES), user_features)

    def predict(self, context_BU: Floats, feature_BCN: Floats) -> NDArray[np.float64]:
        """Return the sum of the trees [B, C], from the request's features and those of each candidate."""
        B, C, N = feature_BCN.shape
        score_BC = np.zeros((B, C))
        batch_size = max(ROW_BATCH_SIZE // max(C, 1), 1)
        for b in range(0, B, batch_size):
            rows = slice(b, b + batch_size)
            leaves_TR = self.user_masks.remaining_leaves(context_BU[rows]).repeat_interleave(C, dim=1)
            leaves_TR &= self.candidate_masks.remaining_leaves(feature_BCN[rows].reshape(-1, N))
            leaves = leaves_TR.numpy()
            # The index of the lowest set bit is the number of set bits below it.
            value_TR = self.value_X.take(np.bitwise_count(~leaves & (leaves - 1)) + self.offset_T1)
            score_BC[rows] = value_TR.sum(axis=0).reshape(score_BC[rows].shape)
        return score_BC


class RequestScorer:
    """Scores requests with a booster: by QuickScorer where possible, else by LightGBM."""

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster = booster
        self._quick_scorers: dict[int, QuickScorer | None] = {}

    def predict(self, context_BU: Floats, feature_BCN: Floats) -> NDArray[np.float64]:
        """Return the sum of the trees [B, C], as `QuickScorer.predict`. Runs on the calling thread."""
        (B, C, _), U = feature_BCN.shape, context_BU.shape[1]
        if U not in self._quick_scorers:
            self._quick_scorers[U] = QuickScorer.from_booster(self.booster, U)
        if (quick := self._quick_scorers[U]) is not None:
            return quick.predict(context_BU, feature_BCN)
        rows = np.concatenate([np.broadcast_to(context_BU[:, None], (B, C, U)), feature_BCN], axis=2)
        score_R = self.booster.predict(rows.reshape(B * C, -1), raw_score=True, num_threads=1)
        return np.asarray(score_R, dtype=np.float64).reshape(B, C)


def _parse_tree(tree: dict[str, Any], nodes: list[Node], values: list[float]) -> bool:
    """Append the nodes and, left to right, the leaf values of a tree; return False if a node type is not supported."""
    if "leaf_value" in tree:
        values.append(tree["leaf_value"])
        return True
    if (tree["decision_type"], tree["missing_type"]) != ("<=", "None"):
        return False
    first = len(values)
    if not _parse_tree(tree["left_child"], nodes, values):
        return False
    nodes.append(Node(tree["split_feature"], tree["threshold"], first, len(values)))
    return _parse_tree(tree["right_child"], nodes, values)


def _round_down(threshold_M: NDArray[np.float64]) -> Floats:
    """Return the largest float32 not above each threshold, so float32 values compare as with the original."""
    nearest_M = threshold_M.astype(np.float32)
    below_M = np.nextafter(nearest_M, np.float32(-np.inf))
    return np.where(nearest_M > threshold_M, below_M, nearest_M)
