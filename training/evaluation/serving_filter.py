"""Which candidates might have been shown at a past request: what the service's filters would have left.

The filters are the service's own (`training/slate/filters.py`), with what the user had disliked or blocked before the request.
Legend: C cases, K candidates. Knows nothing about scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.views import SEQUENCE_VIEWS
from training.data.catalog import Catalog
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.slate.filters import Exclusions, FilterContext, apply_filters

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ServingFilter:
    """`excluded` maps a user to (time in µs, target type, target id) of each dislike or block, in time order."""

    catalog: Catalog
    track_code: Mapping[str, int]
    exclusions: dict[str, list[tuple[int, str, str]]]

    @classmethod
    def from_data(cls, data: TrainingData) -> ServingFilter:
        """From the marts `tracks` and `events`. Which tracks are in the catalogue is the channels' matter."""
        tracks = data.track_rows.with_columns(is_in_catalogue=pl.lit(True))
        return cls(Catalog.build(tracks, data.vocabulary), data.vocabulary.track_code, _load_exclusions(data))

    def filter_candidates(
        self, items_CK: Ints, cases: RecallCases, scores_CK: NDArray[np.floating]
    ) -> tuple[Ints, NDArray[np.floating]]:
        """What is left of every list and its scores, moved to the front; 0 fills the end."""
        items, scores = np.zeros_like(items_CK), np.zeros_like(scores_CK)
        requests = zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True)
        for case, (user, at_us) in enumerate(requests):
            before = [(kind, target) for time, kind, target in self.exclusions.get(user, ()) if time < at_us]
            shown = FilterContext(self.catalog, Exclusions.of_targets(before), self.track_code, at_us)
            places, _ = apply_filters(items_CK[case], shown)
            items[case, : len(places)] = items_CK[case, places]
            scores[case, : len(places)] = scores_CK[case, places]
        return items, scores


def _load_exclusions(data: TrainingData) -> dict[str, list[tuple[int, str, str]]]:
    rows = (
        data.scan_mart("events")
        .filter(pl.col("behaviour").is_in(SEQUENCE_VIEWS["exclusions"].behaviours))
        .sort("user_id", "known_at")
    )
    time = pl.col("known_at").cast(pl.Datetime("us")).cast(pl.Int64)
    excluded: dict[str, list[tuple[int, str, str]]] = {}
    for user, kind, target, known_us in rows.select("user_id", "target_type", "target_id", time).collect().iter_rows():
        excluded.setdefault(user, []).append((known_us, kind, target))
    return excluded
