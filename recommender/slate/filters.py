"""Filters of candidates: one function per filter, named for the items that it removes.

A filter marks the items to remove among C candidates that are sorted by preference. Serving and the evaluation of
slates both call `apply_filters`. To add a filter, write a function and add a line to `FILTERS`. Legend: C candidates, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from recommender.catalog.arrays import concatenate_ranges, first_occurrence_mask, is_among
from recommender.catalog.catalog import Catalog
from recommender.user.exclusions import Exclusions


@dataclass(frozen=True)
class FilterContext:
    """Catalog, user and request that candidates are filtered for."""

    catalog: Catalog
    exclusions: Exclusions
    track_code: Mapping[str, int]  # track id to item
    at_us: int  # time of the request, µs UTC
    already_shown_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # in any response
    territory: str | None = None  # upper-case country code of the user; "" unknown, None for no territory filter
    is_explicit_wanted: bool = True
    left_out_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of the taste profile
    skipped_unheard_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    wanted_sounds: np.ndarray | None = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # items that need not be music; None: all


def outside_catalog(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Padding, unknown tracks and tracks that the release may not serve."""
    return ~context.catalog.is_served_V[items_C]


def unavailable(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks before the start or from the end of their availability on."""
    begins, ends = context.catalog.available_from_V[items_C], context.catalog.available_until_V[items_C]
    return (context.at_us < begins) | (context.at_us >= ends)


def outside_territory(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks that may not be served in the territory; if it is unknown, all tracks with a territory restriction."""
    if context.territory is None:
        return np.zeros(len(items_C), dtype=bool)
    sets = context.catalog.territories
    is_outside_S = np.array([bool(countries) and context.territory not in countries for countries in sets], dtype=bool)
    return is_outside_S[context.catalog.territories_V[items_C]]


def explicit(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks with an advisory label, unless explicit tracks are wanted; unlabeled tracks count as not explicit."""
    return context.catalog.is_explicit_V[items_C] & (not context.is_explicit_wanted)


def excluded_tracks(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks that the user blocked or disliked, in any release of the recording."""
    codes = [code for track in context.exclusions.track_ids if (code := context.track_code.get(track)) is not None]
    if not codes:
        return np.zeros(len(items_C), dtype=bool)
    recordings = context.catalog.recording_V
    return is_among(recordings[items_C], recordings[np.array(codes, dtype=np.int64)])


def excluded_artists(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks with any artist that the user blocked or disliked."""
    codes = {
        code
        for artist in context.exclusions.artist_ids
        if (code := context.catalog.artist_code.get(artist)) is not None
    }
    removed = np.zeros(len(items_C), dtype=bool)
    if codes:
        offset_V1 = context.catalog.artist_offset_V1
        place_N, of_N = concatenate_ranges(offset_V1[items_C], offset_V1[items_C + 1])
        removed[of_N[is_among(context.catalog.artist_F[place_N], np.array(list(codes)))]] = True
    return removed


def already_shown(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks that were shown already, in any release of the recording."""
    recordings = context.catalog.recording_V
    return is_among(recordings[items_C], recordings[context.already_shown_items])


def left_out_of_profile(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks that the user left out of the taste profile: as the models do not see their plays, they would seem new."""
    return is_among(items_C, context.left_out_items)


def skipped_unheard(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Tracks that the user skipped and never listened to: they are neither familiar nor new."""
    return is_among(items_C, context.skipped_unheard_items)


def not_music(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """Speech, silence and other sounds. As singing without instruments may look like them, the user's own are kept."""
    if context.wanted_sounds is None:
        return np.zeros(len(items_C), dtype=bool)
    return ~context.catalog.is_music_V[items_C] & ~is_among(items_C, context.wanted_sounds)


def duplicate_recordings(items_C: np.ndarray, context: FilterContext) -> np.ndarray:
    """All but the first item of each recording."""
    recording_C = context.catalog.recording_V[items_C]
    order = np.argsort(recording_C, kind="stable")
    removed = np.empty(len(items_C), dtype=bool)
    removed[order] = ~first_occurrence_mask(recording_C[order])
    return removed


FILTERS: dict[str, Callable[[np.ndarray, FilterContext], np.ndarray]] = {
    "outside_catalog": outside_catalog,
    "unavailable": unavailable,
    "outside_territory": outside_territory,
    "explicit": explicit,
    "excluded_tracks": excluded_tracks,
    "excluded_artists": excluded_artists,
    "already_shown": already_shown,
    "left_out_of_profile": left_out_of_profile,
    "skipped_unheard": skipped_unheard,
    "not_music": not_music,
    "duplicate_recordings": duplicate_recordings,  # last, so that a removed release cannot hide a servable one
}


def apply_filters(items_C: np.ndarray, context: FilterContext) -> tuple[np.ndarray, dict[str, int]]:
    """Apply all FILTERS in order.

    Returns:
        Positions in `items_C` of the remaining items, ascending, and the number of items that each filter removed.
    """
    positions = np.arange(len(items_C))
    removed: dict[str, int] = {}
    for name, mark in FILTERS.items():
        is_removed = mark(items_C[positions], context)
        removed[name] = int(np.count_nonzero(is_removed))
        positions = positions[~is_removed]
    return positions, removed
