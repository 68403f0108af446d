"""Serving filters applied to the candidates of past requests.

Uses the filters of the service (`training/slate/filters.py`) with the dislikes and blocks of the user before the
request, and with what the user has left out of the taste profile by the end of the log.
Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.views import SEQUENCE_VIEWS
from training.data.catalog import Catalog
from training.data.exclusions import EXCLUSIONS_VIEW, Exclusions, marks_of
from training.data.profile_exclusions import NOTHING, LeftOut
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.slate.filters import FilterContext, apply_filters

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ServingFilter:
    """Filters at the time of a request."""

    catalog: Catalog
    track_code: Mapping[str, int]
    events: dict[str, list[tuple[str, str, str, int]]]  # user → events of `marks_of`, in time order
    left_out: Mapping[str, LeftOut]  # user → items left out of the taste profile
    sounds: Mapping[str, list[tuple[int, int]]]  # user → items that are not music, with the times of the listens

    @classmethod
    def from_data(cls, data: TrainingData) -> ServingFilter:
        """From the marts `tracks` and `events`. Catalog membership is not filtered, because the channels already
        respect it.
        """
        tracks = data.track_rows.with_columns(is_in_catalogue=pl.lit(True))
        left_out = data.profile_exclusions.left_out_by_user
        catalog = Catalog.build(tracks, data.vocabulary)
        return cls(catalog, data.vocabulary.track_code, _load_events(data), left_out, _listens_of_sounds(data, catalog))

    def filter_candidates(
        self, items_CK: Ints, cases: RecallCases, scores_CK: NDArray[np.floating]
    ) -> tuple[Ints, NDArray[np.floating]]:
        """Remaining items and scores of every list, moved to the front and padded with 0."""
        items, scores = np.zeros_like(items_CK), np.zeros_like(scores_CK)
        requests = zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True)
        for case, (user, at_us) in enumerate(requests):
            marks = marks_of(event for event in self.events.get(user, ()) if event[-1] < at_us)
            exclusions, left_out = Exclusions.of_marks(marks), self.left_out.get(user, NOTHING)
            left_out_items = left_out.item_N[left_out.until_N >= at_us]  # a reset is over for later requests
            listened = Counter(item for item, known_us in self.sounds.get(user, ()) if known_us < at_us)
            context = FilterContext(
                self.catalog,
                exclusions,
                self.track_code,
                at_us,
                left_out_items=left_out_items,
                wanted_sounds=np.array([item for item, count in listened.items() if count >= 2], dtype=np.int64),
            )
            kept, _ = apply_filters(items_CK[case], context)
            items[case, : len(kept)] = items_CK[case, kept]
            scores[case, : len(kept)] = scores_CK[case, kept]
        return items, scores


def _listens_of_sounds(data: TrainingData, catalog: Catalog) -> dict[str, list[tuple[int, int]]]:
    plays = data.plays
    rows = np.flatnonzero(plays.is_listened_P & ~catalog.is_music_V[plays.track_P])
    listens: dict[str, list[tuple[int, int]]] = {}
    users = data.user_ids_U[plays.user_P[rows]].tolist()
    for user, *listen in zip(users, plays.track_P[rows].tolist(), plays.known_at_P[rows].tolist(), strict=True):
        listens.setdefault(user, []).append((listen[0], listen[1]))
    return listens


def _load_events(data: TrainingData) -> dict[str, list[tuple[str, str, str, int]]]:
    rows = (
        data.scan_mart("events")
        .filter(pl.col("behaviour").is_in(SEQUENCE_VIEWS[EXCLUSIONS_VIEW].behaviours))
        .sort("user_id", "known_at")
    )
    time = pl.col("known_at").cast(pl.Datetime("us")).cast(pl.Int64)
    events: dict[str, list[tuple[str, str, str, int]]] = {}
    for user, *event in rows.select("user_id", "behaviour", "target_type", "target_id", time).collect().iter_rows():
        events.setdefault(user, []).append(tuple(event))
    return events
