"""Boosted trees: the one place where LightGBM fits, saves, loads and predicts.

Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS. Stored as text, never as a pickle.

Requests are scored by compiled code, faster than LightGBM for the hundreds of candidates of a request. QuickScorer: Lucchese
et al. 2015, "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees", SIGIR. A candidate
has one bit per leaf of a tree. A node whose test fails clears the bits of the leaves below its first child; the first bit that
is left is the candidate's leaf. Each node is one loop over the candidates without a branch, which the processor computes for
many candidates at once. Differs: a node whose threshold is outside the range of its feature among the candidates, which is
one number for features of the request, needs no loop, and the subtree that is out of reach of all candidates is skipped.
Results equal LightGBM's.

Shape letters: B requests, C candidates, Q past requests, R rows, N features of candidates, U features of the request,
F = U + N, T trees, M nodes, X hashes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from recommender.array_types import Floats
from recommender.compiled import compiled

# LightGBM needs scikit-learn for its estimators only, and importing it takes 1.3 s and 65 MB of each process.
_modules: dict[str, Any] = sys.modules
_is_hidden = "sklearn" not in _modules
if _is_hidden:
    _modules["sklearn"] = None  # an import raises ImportError
try:
    import lightgbm
finally:
    if _is_hidden:
        del _modules["sklearn"]

Bits = NDArray[np.uint64]

PARAMETERS: Mapping[str, Any] = {"lambda_l2": 20.0, "max_bin": 127, "deterministic": True, "verbose": -1}
"""Parameters of all fits."""
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
    def of(cls, booster: lightgbm.Booster) -> TreeNodes:
        """Return the nodes of a booster.

        Raises:
            ValueError: A tree has more than MAX_LEAVES leaves, or nodes other than threshold tests.
        """
        rows: list[list[float]] = []
        kept: list[int] = []
        begin, values = [0], []
        for tree in booster.dump_model()["tree_info"]:
            leaves: list[float] = []
            _append_nodes(tree["tree_structure"], rows, kept, leaves)
            begin.append(len(rows))
            value_X = np.zeros(MAX_LEAVES)
            bit_L = np.uint64(1) << np.arange(len(leaves), dtype=np.uint64)
            value_X[((bit_L * HASH_MULTIPLIER) >> HASH_SHIFT).astype(np.int64)] = leaves
            values.append(value_X)
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
        feature_M, second_M, end_M = (table[:, column].astype(np.int32) for column in (0, 2, 3))
        kept_M, begin_T = np.array(kept, dtype=np.uint64), np.array(begin, dtype=np.int32)
        value_TX = np.array(values).reshape(len(values), MAX_LEAVES)
        return cls(feature_M, _round_down(table[:, 1]), kept_M, second_M, end_M, begin_T, value_TX)


def _append_nodes(node: dict[str, Any], rows: list[list[float]], kept: list[int], leaves: list[float]) -> None:
    """Append the inner nodes from this one on, and the leaves."""
    number, first_leaf = len(rows), len(leaves)
    if "leaf_value" in node:
        leaves.append(node["leaf_value"])
        return
    if (node["decision_type"], node["missing_type"]) != ("<=", "None"):
        raise ValueError(
            f"a tree has a node of type {node['decision_type']!r} for missing values {node['missing_type']!r}; "
            "fit the trees on finite numbers"
        )
    rows.append([node["split_feature"], node["threshold"], 0, 0])
    kept.append(0)
    _append_nodes(node["left_child"], rows, kept, leaves)
    rows[number][2] = len(rows)
    kept[number] = (1 << MAX_LEAVES) - 1 - (((1 << len(leaves)) - 1) ^ ((1 << first_leaf) - 1))
    _append_nodes(node["right_child"], rows, kept, leaves)
    rows[number][3] = len(rows)
    if len(leaves) > MAX_LEAVES:
        raise ValueError(f"a tree has {len(leaves)} leaves; fit trees with at most {MAX_LEAVES}")


def _round_down(threshold_M: NDArray[np.float64]) -> Floats:
    """Return the largest float32 not above each threshold, so float32 values compare as with the original."""
    nearest_M = threshold_M.astype(np.float32)
    below_M = np.nextafter(nearest_M, np.float32(-np.inf))
    return np.where(nearest_M > threshold_M, below_M, nearest_M)


@dataclass(frozen=True)
class PastRequests:
    """Candidates of Q past requests, grouped by request: features, whether each is a target, and number per request."""

    features_RN: Floats
    is_target_R: NDArray[np.bool_]
    count_Q: NDArray[np.int64]
    feature_names: Sequence[str] = ()  # names in the saved trees

    @property
    def has_both_classes(self) -> bool:
        """Whether there are both targets and other candidates, as fitting requires."""
        return bool(self.is_target_R.any() and not self.is_target_R.all())


@dataclass(frozen=True)
class Trees:
    """Fitted trees. Requests of few candidates are scored by LightGBM."""

    booster: lightgbm.Booster

    @classmethod
    def fit(cls, data: lightgbm.Dataset, count: int, description: str) -> Trees:
        """Fit trees with a progress bar, because minutes without output look like a fit that hangs.

        Args:
            data: Training data with the parameters of the fit, see `dataset`.
            count: Number of trees.
            description: Label of the progress bar.
        """
        with tqdm(total=count, desc=description, unit="tree", mininterval=1) as bar:
            return cls(lightgbm.train(data.params or {}, data, count, callbacks=[lambda _: bar.update()]))

    @property
    def count(self) -> int:
        """Number of trees."""
        return int(self.booster.num_trees())

    @property
    def features(self) -> int:
        """Number of features."""
        return int(self.booster.num_feature())

    @cached_property
    def nodes(self) -> TreeNodes:
        """Nodes for compiled code."""
        return TreeNodes.of(self.booster)

    def first(self, count: int) -> Trees:
        """Return the first trees."""
        return Trees(lightgbm.Booster(model_str=self.booster.model_to_string(num_iteration=count)))

    def predict_rows(
        self, features_RF: Floats, threads: int = 0, start: int = 0, count: int = -1
    ) -> NDArray[np.float64]:
        """Return the sum of the trees, or of `count` of them from number `start` on, for each row [R]."""
        chosen: dict[str, Any] = {"start_iteration": start, "num_iteration": count, "num_threads": threads}
        return np.asarray(self.booster.predict(features_RF, raw_score=True, **chosen), dtype=np.float64)

    def save(self, file: Path) -> None:
        """Write a text file."""
        self.booster.save_model(file)

    @classmethod
    def load(cls, file: Path) -> Trees | None:
        """Read a file that `save` wrote; None if it does not exist."""
        return cls(lightgbm.Booster(model_file=file)) if file.exists() else None

    def predict(self, context_BU: Floats, feature_BCN: Floats) -> NDArray[np.float64]:
        """Return the sum of the trees [B, C]. Runs on the calling thread.

        Args:
            context_BU: The first U features, of the requests.
            feature_BCN: The other features, of each candidate.

        Raises:
            ValueError: The trees were fitted on another number of features. The compiled function does not check it and would
                read outside of its arrays.
        """
        (B, C, N), U = feature_BCN.shape, context_BU.shape[1]
        if self.features != U + N:
            raise ValueError(
                f"candidates have {U} + {N} features, the trees were fitted on {self.features}; "
                "fit the model again with this version of the features"
            )
        score_BC = np.zeros((B, C))
        if not score_BC.size:
            return score_BC
        if C >= MIN_CANDIDATES:
            _sum_trees(self.nodes, np.ascontiguousarray(context_BU), np.ascontiguousarray(feature_BCN), score_BC)
            return score_BC
        rows = np.concatenate([np.broadcast_to(context_BU[:, None], (B, C, U)), feature_BCN], axis=2)
        return self.predict_rows(rows.reshape(B * C, -1), threads=1).reshape(B, C)


def dataset(
    features_RF: Floats, label_R: NDArray[Any], parameters: Mapping[str, Any], seed: int, threads: int, **rows: Any
) -> lightgbm.Dataset:
    """Return training data with the parameters of LightGBM; further arguments are LightGBM's."""
    every = {**PARAMETERS, **parameters, "seed": seed, "num_threads": threads}
    return lightgbm.Dataset(features_RF, label_R, params=every, **rows)


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
