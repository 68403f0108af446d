"""What follows what, in linear weights from item to item that have a closed form.

Choi, Kim, Lee, Shim, Lee, "Session-aware Linear Item-Item Models for Session-based Recommendation" (WWW 2021), arXiv
2103.16424: every split of a history into a past S and a future T, both fading with the distance from the split, and
splits with their age (SLIT), and whole histories X, of which everything stands beside everything (SLIS). One ridge
regression learns from both: `B = (a·X'X + (1 − a)·S'S + λI)⁻¹ (a·X'X₀ + (1 − a)·S'T)`, where X₀ is without the item
itself. Different there: SLIS keeps an item from explaining itself by a bound on the diagonal of B, after Steck (WWW
2019), arXiv 1905.03251, which needs the whole inverse; λ is a number by itself, here it is so many times the mean of
what it is added to.

Legend: P listens, U users, I items listened to, B requests, L events, N items asked for. Takes I² memory and I³ time,
whence `transitions_up_to` of the config. Knows nothing about networks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array

Array = NDArray[Any]

MIN_DECAY_WEIGHT = 1e-3
"""What has faded to less counts for nothing."""
SPLITS_PER_CHUNK = 65_536
TRANSITIONS_FILE = "transitions.safetensors"


@dataclass(frozen=True)
class TransitionConfig:
    """`ridge`: λ, so many times the mean diagonal of the Gram matrix; `together`: a, the share of whole histories. A
    listen fades by e^(−decay) a place: in a `past` and a `future` of a split, and in what a `request` is asked with; a
    split itself by `age`, from the newest one of its user on.
    """

    ridge: float = 10.0
    consistency_weight: float = 0.2
    past_decay: float = 0.5
    future_decay: float = 0.2
    split_age_decay: float = 0.02
    query_decay: float = 0.2


@dataclass(frozen=True, eq=False)
class Histories:
    """The items that U users listened to, oldest first: those of u are `item_P[offset_U1[u]:offset_U1[u + 1]]`. Equal
    ones are equal keys.
    """

    item_P: Array
    offset_U1: Array

    @cached_property
    def digest(self) -> str:
        """Hash of everything in it."""
        return hashlib.sha256(self.item_P.tobytes() + b"|" + self.offset_U1.tobytes()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histories) and self.digest == other.digest

    @cached_property
    def items(self) -> Array:
        """The I distinct items, ascending."""
        return np.unique(self.item_P)

    def restrict_to(self, items: Array) -> Histories:
        """Without what is not among `items`."""
        is_kept_P = np.isin(self.item_P, items)
        return Histories(self.item_P[is_kept_P], np.append(0, np.cumsum(is_kept_P))[self.offset_U1])

    def take(self, rows: Array) -> Histories:
        """Those of some users, in that order."""
        lists = [self.item_P[self.offset_U1[row] : self.offset_U1[row + 1]] for row in rows]
        counts = np.diff(self.offset_U1)[rows]
        return Histories(np.concatenate([np.zeros(0, dtype=np.int64), *lists]), np.append(0, np.cumsum(counts)))

    def to_decayed_matrix(self, items: Array, decay: float) -> csr_array:
        """A row a history, a column an item of `items` (ascending; others are left out): its listens, faded by their
        distance from the end.
        """
        age_P = self.offset_U1[1:].repeat(np.diff(self.offset_U1)) - 1 - np.arange(len(self.item_P))
        user_P = np.repeat(np.arange(len(self.offset_U1) - 1), np.diff(self.offset_U1))
        place_P = np.minimum(np.searchsorted(items, self.item_P), max(len(items) - 1, 0))
        kept = np.flatnonzero(items[place_P] == self.item_P) if len(items) else np.zeros(0, dtype=np.int64)
        faded = np.exp(-decay * age_P[kept]).astype(np.float32)
        return csr_array((faded, (user_P[kept], place_P[kept])), shape=(len(self.offset_U1) - 1, len(items)))


def concatenate_histories(parts: Sequence[Histories]) -> Histories:
    """The histories of all parts, one after the other."""
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(part.offset_U1) for part in parts)])
    return Histories(np.concatenate([np.zeros(0, dtype=np.int64), *(part.item_P for part in parts)]), counts.cumsum())


@dataclass(frozen=True)
class Transitions:
    """`weight_II[i, j]`: how much of item i in a history speaks for item j; both are places in `item_I`."""

    config: TransitionConfig
    item_I: Array
    weight_II: Array

    def scores(self, histories: Histories, item_N: Array) -> Array:
        """How much each history speaks for each item of `item_N` (ascending), float32 [B, N]; 0 for one that nobody
        listened to.
        """
        asked_BI = histories.to_decayed_matrix(self.item_I, self.config.query_decay)
        score_BN = np.zeros((asked_BI.shape[0], len(item_N)), dtype=np.float32)
        _, known_I, known_N = np.intersect1d(self.item_I, item_N, assume_unique=True, return_indices=True)
        score_BN[:, known_N] = (asked_BI @ self.weight_II)[:, known_I]
        return score_BN

    def save(self, folder: Path) -> None:
        """Items and weights as safetensors; the numbers stand in the config of whoever uses them."""
        save_file({"item_I": self.item_I, "weight_II": self.weight_II}, folder / TRANSITIONS_FILE)

    @classmethod
    def load(cls, folder: Path, numbers: TransitionConfig) -> Transitions:
        """What `save` wrote."""
        arrays = load_file(folder / TRANSITIONS_FILE)
        return cls(numbers, arrays["item_I"], arrays["weight_II"])


@lru_cache(maxsize=2)
def fit_transitions(histories: Histories, numbers: TransitionConfig, length: int) -> Transitions:
    """The weights that `histories` have, of pasts and futures of at most `length` listens.

    Nothing is drawn by chance, so the last two are kept for the next seed.
    """
    gram_II, target_II = normal_equations(histories, numbers, length)
    factor = cholesky_factor(gram_II, numbers.ridge)
    weight_II = cho_solve(factor, target_II, overwrite_b=True, check_finite=False)
    # Two matrices of this size are enough at a time.
    del factor, gram_II, target_II
    # In rows, which every request reads some of: the solver's columns would be copied each time.
    return Transitions(numbers, histories.items, np.ascontiguousarray(weight_II, dtype=np.float32))


def cholesky_factor(gram_II: Array, ridge: float) -> tuple[Array, bool]:
    """Cholesky factor of the Gram matrix with `ridge` times its mean diagonal on the diagonal; `gram_II` is
    overwritten.
    """
    gram_II[np.diag_indices(len(gram_II))] += ridge * gram_II.diagonal().mean()
    factor: tuple[Array, bool] = cho_factor(gram_II, lower=True, overwrite_a=True, check_finite=False)
    return factor


def normal_equations(histories: Histories, numbers: TransitionConfig, length: int) -> tuple[Array, Array]:
    """The Gram matrix of what is seen, and its products with what is to be said from it, float32 [I, I] each, in the
    order of a column-major solver.
    """
    count = len(histories.items)
    whole_UI = histories.to_decayed_matrix(histories.items, 0.0)
    whole_UI.sum_duplicates()
    whole_UI.data[:] = numbers.consistency_weight**0.5
    gram_II = (whole_UI.T @ whole_UI).tocsr()
    target_II = gram_II - diags_array(gram_II.diagonal(), format="csr")
    for past_SI, future_SI, weight_S in _splits(histories, numbers, length, count):
        past_IS = (past_SI.T * (np.float32(1 - numbers.consistency_weight) * weight_S)).tocsr()
        gram_II, target_II = gram_II + past_IS @ past_SI, target_II + past_IS @ future_SI
    return gram_II.toarray(order="F"), target_II.toarray(order="F")


def _splits(
    histories: Histories, numbers: TransitionConfig, length: int, count: int
) -> Iterator[tuple[csr_array, csr_array, Array]]:
    """Pasts and futures of every split and how much it counts, some at a time: a row a split, after each listen but a
    user's last.
    """
    place_P = np.searchsorted(histories.items, histories.item_P)
    sizes_U = np.diff(histories.offset_U1)
    first_P, end_P = np.repeat(histories.offset_U1[:-1], sizes_U), np.repeat(histories.offset_U1[1:], sizes_U)
    weight_P = np.exp(-numbers.split_age_decay * (end_P - 2 - np.arange(len(place_P)))).astype(np.float32)
    split_S = np.flatnonzero((np.arange(len(place_P)) + 1 < end_P) & (weight_P >= MIN_DECAY_WEIGHT))
    for start in range(0, len(split_S), SPLITS_PER_CHUNK):
        some_S = split_S[start : start + SPLITS_PER_CHUNK]
        past = _decayed_window(place_P, some_S, -1, first_P[some_S], end_P[some_S], numbers.past_decay, length, count)
        future = _decayed_window(
            place_P, some_S + 1, 1, first_P[some_S], end_P[some_S], numbers.future_decay, length, count
        )
        yield past, future, weight_P[some_S]


def _decayed_window(
    place_P: Array, begin_S: Array, step: int, first_S: Array, end_S: Array, decay: float, length: int, count: int
) -> csr_array:
    """The listens from `begin_S` on, forwards or backwards, within first and end, [S, count]."""
    rows, places, values = [], [], []
    for distance in range(length):
        faded = np.exp(-decay * distance)
        at_S = begin_S + step * distance
        row = np.flatnonzero((at_S >= first_S) & (at_S < end_S))
        if faded < MIN_DECAY_WEIGHT or not len(row):
            break
        rows.append(row)
        places.append(place_P[at_S[row]])
        values.append(np.full(len(row), faded, dtype=np.float32))
    if not rows:
        return csr_array((len(begin_S), count), dtype=np.float32)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(places)))
    return csr_array(entries, shape=(len(begin_S), count))
