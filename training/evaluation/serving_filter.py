"""What the filters and the reactions of past requests read.

Uses the filters of the service (`recommender/slate/filters.py`) with the dislikes and blocks of the user before the
request, and with what the user has left out of the taste profile by the end of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from recommender.catalog.catalog import Catalog
from recommender.slate.feedback import READ_FROM, Reactions
from recommender.slate.filters import FilterContext
from recommender.user.exclusions import EXCLUSIONS_VIEW, NOTHING, Exclusions, LeftOut, marks_of
from recommender.user.user_batch import USER_HISTORY_VIEWS, items_listened_twice, skipped_unheard_items
from sequences.sequence_batch import drop_reversed
from sequences.sequence_views import SEQUENCE_VIEWS
from training.data.plays import to_microseconds
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData


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
        tracks = data.track_rows.with_columns(is_in_catalog=pl.lit(True))
        left_out = data.profile_exclusions.left_out_by_user
        return cls(
            Catalog.build(tracks, data.vocabulary), data.vocabulary.track_code, _load_events(data), left_out, data
        )

    def read_requests(self, cases: RecallCases) -> Iterator[tuple[FilterContext, Reactions]]:
        """For each case what the filters read of it, and the reactions of its user before it."""
        for chunk in cases.chunks():
            yield from self._read_chunk(chunk)

    def _read_chunk(self, cases: RecallCases) -> Iterator[tuple[FilterContext, Reactions]]:
        users, times = cases.user_ids.tolist(), cases.request_at_C
        views = {
            name: drop_reversed(self.data.reader(name).read(users, times)) for name in {*USER_HISTORY_VIEWS, *READ_FROM}
        }
        views = self.data.profile_exclusions.leave_out(views, users)
        for case, (user, at_us) in enumerate(zip(users, times.tolist(), strict=True)):
            marks = marks_of(event for event in self.events.get(user, ()) if event[-1] < at_us)
            left_out = self.left_out.get(user, NOTHING)
            of_user = {name: view.take(np.array([case])) for name, view in views.items()}
            context = FilterContext(
                self.catalog,
                Exclusions.of_marks(marks),
                self.track_code,
                at_us,
                left_out_items=left_out.item_N[left_out.until_N >= at_us],  # a reset is over for later requests
                skipped_unheard_items=skipped_unheard_items(of_user),
                wanted_sounds=items_listened_twice(of_user),
            )
            yield context, Reactions.of(of_user, times[case : case + 1])


def _load_events(data: TrainingData) -> dict[str, list[tuple[str, str, str, int]]]:
    rows = (
        data.scan_mart("events")
        .filter(pl.col("behavior").is_in(SEQUENCE_VIEWS[EXCLUSIONS_VIEW].behaviors))
        .sort("user_id", "known_at")
    )
    events: dict[str, list[tuple[str, str, str, int]]] = {}
    columns = "user_id", "behavior", "target_type", "target_id", to_microseconds("known_at")
    for user, *event in rows.select(columns).collect().iter_rows():
        events.setdefault(user, []).append(tuple(event))
    return events
