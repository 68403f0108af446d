"""Which candidates might have been shown at a past request: what the service's filters would have left.

Removed are tracks outside their days, tracks and artists that the user had disliked or blocked before the request, and
all but the first release of a recording. The service does the same from online state; a test holds the two against
each other. Legend: C cases, K candidates, V vocabulary. Knows nothing about scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.definition import SEQUENCE_VIEWS
from training.data import RecallCases, TrainingData

ALWAYS_FROM, ALWAYS_UNTIL = np.iinfo(np.int64).min, np.iinfo(np.int64).max

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Servable:
    """`excluded` maps a user to (time in µs, items) of each dislike or block, in time order."""

    available_from_V: Ints
    available_until_V: Ints
    recording_V: Ints
    has_recordings: bool
    excluded: dict[str, list[tuple[int, Ints]]]

    @classmethod
    def of(cls, data: TrainingData) -> Servable:
        """From the marts `tracks` and `events`."""
        rows = data.track_rows
        recordings = rows["recording_id"].cast(pl.Categorical).to_physical().cast(pl.Int64)
        alone = pl.Series(-np.arange(len(rows), dtype=np.int64) - 3)
        return cls(
            _times(rows["available_from"], ALWAYS_FROM),
            _times(rows["available_until"], ALWAYS_UNTIL),
            np.concatenate([[-1, -2], recordings.fill_null(alone).to_numpy()]).astype(np.int64),
            bool(recordings.drop_nulls().is_duplicated().any()),
            _excluded(data),
        )

    def first(
        self, items_CK: Ints, cases: RecallCases, scores_CK: NDArray[np.floating]
    ) -> tuple[Ints, NDArray[np.floating]]:
        """What is left of every list and its scores, moved to the front; 0 fills the end."""
        at_C1 = cases.request_at_C[:, None]
        kept = (items_CK > 0) & (self.available_from_V[items_CK] <= at_C1) & (at_C1 < self.available_until_V[items_CK])
        for case, user in enumerate(cases.user_ids.tolist()):
            for time, items in self.excluded.get(user, ()):
                if time < cases.request_at_C[case]:
                    kept[case] &= ~np.isin(items_CK[case], items)
            if self.has_recordings:
                places = np.flatnonzero(kept[case])
                _, first = np.unique(self.recording_V[items_CK[case, places]], return_index=True)
                kept[case] = False
                kept[case, places[first]] = True
        order = np.argsort(~kept, axis=1, kind="stable")
        items, scores = np.where(kept, items_CK, 0), np.where(kept, scores_CK, 0)
        return np.take_along_axis(items, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _excluded(data: TrainingData) -> dict[str, list[tuple[int, Ints]]]:
    events = pl.scan_parquet(data.marts / "events.parquet")
    rows = events.filter(pl.col("behaviour").is_in(SEQUENCE_VIEWS["exclusions"].behaviours)).sort("user_id", "known_at")
    found = rows.select(
        "user_id", "target_type", "target_id", pl.col("known_at").cast(pl.Datetime("us")).cast(pl.Int64)
    ).collect()
    tracks = data.track_rows.select("artist_ids", "recording_id").with_row_index("item", offset=2)
    by_artist = tracks.explode("artist_ids", empty_as_null=True).filter(
        pl.col("artist_ids").is_in(found["target_id"].implode())
    )
    of_artist = {artist: one["item"].to_numpy().astype(np.int64) for (artist,), one in by_artist.group_by("artist_ids")}
    with_recording = tracks.filter(pl.col("recording_id").is_not_null())
    of_recording = {
        name: one["item"].to_numpy().astype(np.int64) for (name,), one in with_recording.group_by("recording_id")
    }
    recording = dict(with_recording.select("item", "recording_id").iter_rows())
    excluded: dict[str, list[tuple[int, Ints]]] = {}
    for user, kind, target, time in found.iter_rows():
        items = of_artist.get(target) if kind == "artist" else None
        if kind == "track" and target in data.vocabulary.track_code:
            item = data.vocabulary.track_code[target]
            items = of_recording.get(recording.get(item, ""), np.array([item]))
        if items is not None:
            excluded.setdefault(user, []).append((time, items))
    return excluded


def _times(column: pl.Series, absent: int) -> Ints:
    known = column.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(absent).to_numpy()
    return np.concatenate([[absent, absent], known]).astype(np.int64)
