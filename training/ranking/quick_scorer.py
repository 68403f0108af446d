"""Boosted trees asked without walking through them, since a processor cannot foresee where a walk turns.

Lucchese et al. 2015, "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees", SIGIR.
The leaves of a tree are bits, left to right. A node whose number is above its threshold rules out the leaves on its left; of
the leaves that no node rules out, the first is where a walk ends. Differs: what all nodes of a tree that ask one number
leave is looked up by how many of the number's thresholds, in all trees, lie below it. Says what LightGBM says.

Shape letters: B requests, C candidates, R rows, N numbers, T trees, P trees that are asked in a round, X entries of a
table, M thresholds, V leaves.
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
    """A row whose number is above the threshold ends in none of the leaves from `first` to before `right`."""

    feature: int
    threshold: float
    first_leaf: int
    end_leaf: int


@dataclass(frozen=True)
class FeatureRound:
    """One number of each tree that has so many, of the first P trees by how many they have: its place, and what is left
    of a tree, from `first` on, by how many thresholds lie below it.
    """

    feature_P: Tensor
    offset_P1: Tensor
    leaf_mask_X: Tensor


class LeafMasks:
    """The nodes of each tree that ask some of the numbers."""

    def __init__(self, nodes_T: Sequence[Sequence[Node]]) -> None:
        thresholds: dict[int, set[float]] = defaultdict(set)
        for node in (node for nodes in nodes_T for node in nodes):
            thresholds[node.feature].add(node.threshold)
        self.features = sorted(thresholds)
        sorted_N = [np.array(sorted(thresholds[number])) for number in self.features]
        most = max(map(len, sorted_N), default=0)
        threshold_NM = np.full((len(sorted_N), most), np.inf, dtype=np.float32)
        for threshold_M, of_number in zip(threshold_NM, sorted_N, strict=True):
            threshold_M[: len(of_number)] = _round_down(of_number)
        self.threshold_NM = torch.from_numpy(threshold_NM)
        asked_T = [sorted({self.features.index(node.feature) for node in nodes}) for nodes in nodes_T]
        order_T = np.argsort([-len(asked) for asked in asked_T], kind="stable")
        self.inverse_order_T = torch.from_numpy(np.argsort(order_T))
        self.rounds = list(
            self._rounds([nodes_T[tree] for tree in order_T], [asked_T[tree] for tree in order_T], sorted_N)
        )

    def _rounds(
        self,
        nodes_T: Sequence[Sequence[Node]],
        asked_T: Sequence[Sequence[int]],
        sorted_N: Sequence[NDArray[np.float64]],
    ) -> Iterator[FeatureRound]:
        for turn in range(max(map(len, asked_T), default=0)):
            place_P = [asked[turn] for asked in asked_T if len(asked) > turn]
            left = []
            for place, nodes in zip(place_P, nodes_T, strict=False):
                left.append(np.full(len(sorted_N[place]) + 1, ALL_LEAVES, dtype=np.int64))
                for node in (node for node in nodes if node.feature == self.features[place]):
                    is_below = np.searchsorted(sorted_N[place], node.threshold) + 1
                    left[-1][is_below:] &= ~((1 << node.end_leaf) - (1 << node.first_leaf))
            first_P = np.cumsum([0, *map(len, left[:-1])])
            yield FeatureRound(
                torch.tensor(place_P),
                torch.from_numpy(first_P.astype(np.int32)).unsqueeze(1),
                torch.from_numpy(np.concatenate(left).astype(np.int32)),
            )

    def remaining_leaves(self, number_RN: Floats) -> Tensor:
        """The leaves of each tree that no node rules out, as bits [T, R]."""
        left_TR = torch.full((len(self.inverse_order_T), len(number_RN)), ALL_LEAVES, dtype=torch.int32)
        if not self.rounds:
            return left_TR
        number_NR = torch.from_numpy(np.ascontiguousarray(number_RN.T[self.features]))
        below_NR = torch.searchsorted(self.threshold_NM, number_NR, out_int32=True)
        for one in self.rounds:
            entry_PR = below_NR.index_select(0, one.feature_P).add_(one.offset_P1)
            left_TR[: len(entry_PR)] &= one.leaf_mask_X.index_select(0, entry_PR.view(-1)).view_as(entry_PR)
        return left_TR.index_select(0, self.inverse_order_T)


class QuickScorer:
    """The trees of a booster whose first `user_numbers` numbers are the request's, the same for all its candidates."""

    def __init__(self, nodes_T: Sequence[Sequence[Node]], value_TV: NDArray[np.float64], user_numbers: int) -> None:
        self.user_masks = LeafMasks([[node for node in nodes if node.feature < user_numbers] for nodes in nodes_T])
        self.candidate_masks = LeafMasks(
            [
                [replace(node, feature=node.feature - user_numbers) for node in nodes if node.feature >= user_numbers]
                for nodes in nodes_T
            ]
        )
        self.value_X, self.offset_T1 = value_TV.ravel(), np.arange(0, value_TV.size, MAX_LEAVES)[:, None]

    @classmethod
    def from_booster(cls, booster: lightgbm.Booster, user_numbers: int) -> QuickScorer | None:
        """None where a node asks anything but what is larger, or a tree has more than MOST_LEAVES."""
        nodes_T, value_TV = [], []
        for tree in booster.dump_model()["tree_info"]:
            nodes: list[Node] = []
            values: list[float] = []
            if not _parse_tree(tree["tree_structure"], nodes, values) or len(values) > MAX_LEAVES:
                return None
            nodes_T.append(nodes)
            value_TV.append(values + [0.0] * (MAX_LEAVES - len(values)))
        return cls(nodes_T, np.array(value_TV).reshape(-1, MAX_LEAVES), user_numbers)

    def predict(self, context_BU: Floats, number_BCN: Floats) -> NDArray[np.float64]:
        """What the trees add up to [B, C], of the request's numbers and each candidate's own."""
        B, C, N = number_BCN.shape
        said_BC = np.zeros((B, C))
        at_once = max(ROW_BATCH_SIZE // max(C, 1), 1)
        for b in range(0, B, at_once):
            some = slice(b, b + at_once)
            left_TR = self.user_masks.remaining_leaves(context_BU[some]).repeat_interleave(C, dim=1)
            left_TR &= self.candidate_masks.remaining_leaves(number_BCN[some].reshape(-1, N))
            left = left_TR.numpy()
            value_TR = self.value_X.take(np.bitwise_count(~left & (left - 1)) + self.offset_T1)
            said_BC[some] = value_TR.sum(axis=0).reshape(said_BC[some].shape)
        return said_BC


class RequestScorer:
    """A booster asked by requests: quickly where that is possible."""

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster = booster
        self._quick_scorers: dict[int, QuickScorer | None] = {}

    def predict(self, context_BU: Floats, number_BCN: Floats) -> NDArray[np.float64]:
        """As `QuickTrees.said`; on the thread that asks."""
        (B, C, _), U = number_BCN.shape, context_BU.shape[1]
        if U not in self._quick_scorers:
            self._quick_scorers[U] = QuickScorer.from_booster(self.booster, U)
        if (quick := self._quick_scorers[U]) is not None:
            return quick.predict(context_BU, number_BCN)
        rows = np.concatenate([np.broadcast_to(context_BU[:, None], (B, C, U)), number_BCN], axis=2)
        said_R = self.booster.predict(rows.reshape(B * C, -1), raw_score=True, num_threads=1)
        return np.asarray(said_R, dtype=np.float64).reshape(B, C)


def _parse_tree(told: dict[str, Any], nodes: list[Node], values: list[float]) -> bool:
    """Append the nodes and, left to right, the leaves of a tree; False where that cannot be done."""
    if "leaf_value" in told:
        values.append(told["leaf_value"])
        return True
    if (told["decision_type"], told["missing_type"]) != ("<=", "None"):
        return False
    first = len(values)
    if not _parse_tree(told["left_child"], nodes, values):
        return False
    nodes.append(Node(told["split_feature"], told["threshold"], first, len(values)))
    return _parse_tree(told["right_child"], nodes, values)


def _round_down(threshold_M: NDArray[np.float64]) -> Floats:
    """The largest float32 that is not larger: what is in single precision is above both or above none."""
    nearest_M = threshold_M.astype(np.float32)
    below_M = np.nextafter(nearest_M, np.float32(-np.inf))
    return np.where(nearest_M > threshold_M, below_M, nearest_M)
