"""Serving filters applied to the candidates of past requests.

Uses the filters of the service (`training/slate/filters.py`) with the dislikes and blocks of the user before the
request, and with what the user has left out of the taste profile by the end of the log.
Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.reversals import drop_reversed
from sequences.sequence_batch import SequenceBatch
from sequences.views import SEQUENCE_VIEWS
from training.data.catalog import Catalog
from training.data.exclusions import EXCLUSIONS_VIEW, Exclusions, marks_of
from training.data.profile_exclusions import NOTHING, LeftOut
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_history import USER_HISTORY_VIEWS, items_listened_twice, skipped_unheard_items
from training.slate.filters import FilterContext, apply_filters

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ServingFilter:
    """Filters at the time of a request."""

    catalog: Catalog
    track_code: Mapping[str, int]
    events: dict[str, list[tuple[str, str, str, int]]]  # user → events of `marks_of`, in time order
    left_out: Mapping[str, LeftOut]  # user → items left out of the taste profile
    data: TrainingData

    @classmethod
    def from_data(cls, data: TrainingData) -> ServingFilter:
        """From the marts `tracks` and `events`. Catalog membership is not filtered, because the channels already
        respect it.
        """
        tracks = data.track_rows.with_columns(is_in_catalogue=pl.lit(True))
        left_out = data.profile_exclusions.left_out_by_user
        return cls(
            Catalog.build(tracks, data.vocabulary), data.vocabulary.track_code, _load_events(data), left_out, data
        )

    def filter_candidates(
        self, items_CK: Ints, cases: RecallCases, scores_CK: NDArray[np.floating]
    ) -> tuple[Ints, NDArray[np.floating]]:
        """Remaining items and scores of every list, moved to the front and padded with 0."""
        views = self._read_histories(cases)
        items, scores = np.zeros_like(items_CK), np.zeros_like(scores_CK)
        requests = zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True)
        for case, (user, at_us) in enumerate(requests):
            marks = marks_of(event for event in self.events.get(user, ()) if event[-1] < at_us)
            exclusions, left_out = Exclusions.of_marks(marks), self.left_out.get(user, NOTHING)
            left_out_items = left_out.item_N[left_out.until_N >= at_us]  # a reset is over for later requests
            user_views = {name: view.take(np.array([case])) for name, view in views.items()}
            context = FilterContext(
                self.catalog,
                exclusions,
                self.track_code,
                at_us,
                left_out_items=left_out_items,
                skipped_unheard_items=skipped_unheard_items(user_views),
                wanted_sounds=items_listened_twice(user_views),
            )
            kept, _ = apply_filters(items_CK[case], context)
            items[case, : len(kept)] = items_CK[case, kept]
            scores[case, : len(kept)] = scores_CK[case, kept]
        return items, scores

    def _read_histories(self, cases: RecallCases) -> dict[str, SequenceBatch]:
        """The views of the history of each case's user."""
        users = cases.user_ids.tolist()
        views = {
            name: drop_reversed(self.data.reader(name).read(users, cases.request_at_C)) for name in USER_HISTORY_VIEWS
        }
        return self.data.profile_exclusions.leave_out(views, users)


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
