"""Sequences of many users as numpy arrays that can be converted to tensors.

Legend: B users, L events. Oldest event first, padded on the RIGHT. Strings are codes: 0 padding, 1 unknown, known
texts from 2. Independent of torch and of the source of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from event_store.behaviors import REVERSAL
from sequences.behaviors import code_mask, load_behaviors
from sequences.sequence_views import Attribute, SequenceView

PADDING, UNKNOWN, FIRST_CODE = 0, 1, 2

Encoders = Mapping[str, Mapping[str, int]]
"""attribute name ▸ {text: code}, codes from `FIRST_CODE`. String attributes without an encoder are left out of a batch."""


@dataclass(frozen=True)
class SequenceBatch:
    """B sequences: `columns[attribute]` is [B, L], `length_B` int64 counts the real events of each row.

    Strings are int64 codes, times int64 µs UTC, ratios float32 in 0..1 with 0 for unknown (no NaN reaches a model).
    Positions from `length_B` on are 0.
    """

    columns: dict[str, NDArray[Any]]  # attribute ▸ [B, L]
    length_B: NDArray[np.int64]  # number of events in each row

    @cached_property
    def mask_BL(self) -> NDArray[np.bool_]:
        """True at events, False at padding [B, L]."""
        L = next(iter(self.columns.values())).shape[1]
        return np.arange(L) < self.length_B[:, None]

    def take(self, rows: NDArray[np.int64]) -> SequenceBatch:
        """The sequences of `rows`, in that order."""
        return SequenceBatch({name: column[rows] for name, column in self.columns.items()}, self.length_B[rows])

    def where(self, is_kept_BL: NDArray[np.bool_]) -> SequenceBatch:
        """The selected events only, moved to the left; the remaining positions are 0."""
        is_kept_BL = is_kept_BL & self.mask_BL
        length_B = is_kept_BL.sum(1)
        is_left_BL = np.arange(is_kept_BL.shape[1]) < length_B[:, None]
        columns = {}
        for name, column_BL in self.columns.items():
            columns[name] = np.zeros_like(column_BL)
            columns[name][is_left_BL] = column_BL[is_kept_BL]
        return SequenceBatch(columns, length_B)

    def newest(self, length: int) -> SequenceBatch:
        """The newest `length` events of each row; L becomes `length` if it was larger."""
        L = next(iter(self.columns.values())).shape[1]
        if length >= L:
            return self
        place_BL = np.maximum(self.length_B - length, 0)[:, None] + np.arange(length)
        row_B1 = np.arange(len(place_BL))[:, None]
        columns = {name: column_BL[row_B1, place_BL] for name, column_BL in self.columns.items()}
        return SequenceBatch(columns, np.minimum(self.length_B, length))


def encoded_attributes(view: SequenceView, encoders: Encoders) -> tuple[Attribute, ...]:
    """The attributes of a view that a batch contains: times, ratios, and strings with an encoder."""
    return tuple([a for a in view.attributes if a.kind in ("time", "ratio") or a.name in encoders])


def dtype_of(attribute: Attribute) -> type[np.int64] | type[np.float32]:
    """The numpy dtype of an attribute in a batch."""
    return np.float32 if attribute.kind == "ratio" else np.int64


def encode(
    view: SequenceView,
    rows: Sequence[Mapping[str, Sequence[Any]]],
    encoders: Encoders,
    length: int | None = None,
) -> SequenceBatch:
    """A batch of rows as the online reader and Feast return them.

    Args:
        view: The view that was read.
        rows: Per user, attribute ▸ list of values, oldest first.
        encoders: Codes of the string attributes.
        length: L, the view's length by default; of a longer list the newest L events are kept.
    """
    L = length or view.length
    # Every view has `ended_at`, which is read anyway; counting the ids would decode them.
    counts = [min(len(row["ended_at"]), L) for row in rows]
    attributes = encoded_attributes(view, encoders)
    block_ABL = np.zeros((len(attributes), len(rows), L), dtype=np.int64)
    columns: dict[str, NDArray[Any]] = {}
    for attribute, column_BL in zip(attributes, block_ABL, strict=True):
        if attribute.kind == "ratio":
            column_BL = np.zeros((len(rows), L), dtype=np.float32)  # noqa: PLW2901
        for b, (row, count) in enumerate(zip(rows, counts, strict=True)):
            if count:
                column_BL[b, :count] = _encode(attribute, row[attribute.name][-count:], encoders)
        columns[attribute.name] = column_BL
    return SequenceBatch(columns=columns, length_B=np.array(counts, dtype=np.int64))


def _encode(attribute: Attribute, values: Sequence[Any], encoders: Encoders) -> NDArray[Any]:
    if attribute.kind == "string":
        codes = map(encoders[attribute.name].get, values, repeat(UNKNOWN))
        return np.fromiter(codes, dtype=np.int64, count=len(values))
    if attribute.kind == "ratio":
        ratios = np.array(values, dtype=np.float32)
        ratios[np.isnan(ratios)] = 0.0
        return ratios
    return np.asarray(values, dtype=np.int64)


PREFIX = "un"
"""A reversal is named like the behavior that it takes back, with this prefix."""


@lru_cache(maxsize=1)
def reversed_behaviors() -> dict[str, str]:
    """Reversal → behavior that it takes back, from the behavior table."""
    return {name: name.removeprefix(PREFIX) for name in load_behaviors().with_polarity(REVERSAL)}


def drop_reversed(batch: SequenceBatch) -> SequenceBatch:
    """The events without reversals, and without the events on the same track that they take back.

    Args:
        batch: With the attributes `behavior` and, for events to take back, `track_id`.
    """
    if "behavior" not in batch.columns:
        return batch
    is_reversal_BL = code_mask(tuple(reversed_behaviors())).take(batch.columns["behavior"], mode="clip")
    if not is_reversal_BL.any():
        return batch
    is_kept_BL = np.logical_not(is_reversal_BL)
    row_E, place_E = np.nonzero(batch.mask_BL & np.any(is_reversal_BL, axis=1, keepdims=True))
    item_BL = batch.columns.get("track_id", np.zeros(is_reversal_BL.shape, dtype=np.int64))
    behavior_E = batch.columns["behavior"][row_E, place_E]
    _, is_reversed_E = find_reversed(item_BL[row_E, place_E], behavior_E, row_E, np.ones(len(row_E), dtype=bool))
    is_kept_BL[row_E, place_E] &= ~is_reversed_E
    return batch.where(is_kept_BL)


def find_reversed(
    item_E: NDArray[np.integer],
    behavior_E: NDArray[np.integer],
    user_E: NDArray[np.integer],
    is_past_E: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which events are no reversals, and which ones the user takes back later; unknown tracks cannot be told apart.

    Args:
        item_E: Track codes of E events, sorted by user and time.
        behavior_E: Their behavior codes.
        user_E: Their users, ascending.
        is_past_E: Which events are known; reversals after that take nothing back.
    """
    code = load_behaviors().encoder
    code_of = {code[reversal]: code[name] for reversal, name in reversed_behaviors().items()}
    is_reversal_E = np.isin(behavior_E, list(code_of))
    is_reversed_E = np.zeros(len(item_E), dtype=bool)
    for event in np.flatnonzero(is_reversal_E & is_past_E & (item_E >= FIRST_CODE)).tolist():
        earlier = slice(int(np.searchsorted(user_E, user_E[event])), event)
        is_same_E = (behavior_E[earlier] == code_of[int(behavior_E[event])]) & (item_E[earlier] == item_E[event])
        is_reversed_E[earlier] |= is_same_E
    return ~is_reversal_E, is_reversed_E
