"""Which candidates may not be shown, one function a filter, named for what it removes.

A filter marks what it removes among C items that are already in order of preference. The service and the evaluation of
slates both call `keep`. Adding a filter: a function and a line in `FILTERS`. Legend: C candidates, V vocabulary. Knows
nothing about scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from training.data.catalog import Catalog
from training.slate.exclusions import Exclusions


@dataclass(frozen=True)
class FilterContext:
    """To whom and when (µs UTC) the candidates would be shown, out of which catalogue.

    `already`: items that must not be shown again, be it of the same answer or of earlier ones. `territory`: upper-case
    code of the country they would be shown in; "" where nobody knows it, None where it does not matter.
    """

    catalog: Catalog
    exclusions: Exclusions
    track_code: Mapping[str, int]
    at_us: int
    already_shown_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    territory: str | None = None
    is_explicit_wanted: bool = True


def outside_catalog(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Padding, unknown tracks and tracks that the release may not serve."""
    removed: np.ndarray = ~shown.catalog.is_served_V[items_C]
    return removed


def unavailable(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks before their first day or from their last moment on."""
    begins, ends = shown.catalog.available_from_V[items_C], shown.catalog.available_until_V[items_C]
    removed: np.ndarray = (shown.at_us < begins) | (shown.at_us >= ends)
    return removed


def outside_territory(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks that may not be served in the territory; in one that nobody knows, those that may not be served everywhere."""
    if shown.territory is None:
        return np.zeros(len(items_C), dtype=bool)
    sets, of_item = np.unique(shown.catalog.territories_V[items_C], return_inverse=True)
    countries = [shown.catalog.territories[number] for number in sets]
    is_outside = np.array([bool(one) and shown.territory not in one for one in countries], dtype=bool)
    removed: np.ndarray = is_outside[of_item]
    return removed


def explicit(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks with an advisory label, where they are not wanted; one that nobody labelled has none."""
    removed: np.ndarray = shown.catalog.is_explicit_V[items_C] & (not shown.is_explicit_wanted)
    return removed


def excluded_tracks(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks that the user blocked or disliked, in whatever release of the recording."""
    codes = [code for track in shown.exclusions.track_ids if (code := shown.track_code.get(track)) is not None]
    recordings = shown.catalog.recording_V
    removed: np.ndarray = np.isin(recordings[items_C], recordings[np.array(codes, dtype=np.int64)])
    return removed


def excluded_artists(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks with any artist that the user blocked or disliked."""
    codes = {
        code for artist in shown.exclusions.artist_ids if (code := shown.catalog.artist_code.get(artist)) is not None
    }
    if not codes:
        return np.zeros(len(items_C), dtype=bool)
    return np.array([not codes.isdisjoint(shown.catalog.artists_of(item).tolist()) for item in items_C], dtype=bool)


def already_shown(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """Tracks that must not be shown again, in whatever release of the recording."""
    recordings = shown.catalog.recording_V
    removed: np.ndarray = np.isin(recordings[items_C], recordings[shown.already_shown_items])
    return removed


def duplicate_recordings(items_C: np.ndarray, shown: FilterContext) -> np.ndarray:
    """All but the first of the items with the same recording."""
    removed = np.ones(len(items_C), dtype=bool)
    _, first = np.unique(shown.catalog.recording_V[items_C], return_index=True)
    removed[first] = False
    return removed


FILTERS: dict[str, Callable[[np.ndarray, FilterContext], np.ndarray]] = {
    "outside_catalogue": outside_catalog,
    "unavailable": unavailable,
    "outside_territory": outside_territory,
    "explicit": explicit,
    "excluded_tracks": excluded_tracks,
    "excluded_artists": excluded_artists,
    "already_shown": already_shown,
    "duplicate_recordings": duplicate_recordings,  # last: a removed release must not hide a served one
}


def apply_filters(items_C: np.ndarray, shown: FilterContext) -> tuple[np.ndarray, dict[str, int]]:
    """Places in `items_C` of the items that may be shown, in order, and how many each filter removed."""
    places = np.arange(len(items_C))
    removed: dict[str, int] = {}
    for name, marks in FILTERS.items():
        is_removed = marks(items_C[places], shown)
        removed[name] = int(is_removed.sum())
        places = places[~is_removed]
    return places, removed
