"""What a user liked, saved, hid and blocked: the newest of each action and its reversal counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from recommender.user.exclusions import EXCLUSIONS_VIEW, canonical_marks, marks_of_view
from sequences.sequence_batch import FIRST_CODE
from serving.releases.served_release import ServedRelease
from serving.response_schemas import LibraryItem, LibraryResponse, Track

LIBRARY_VIEW = "library"
LISTS = {"like": "liked", "collect": "collected", "dislike": "disliked", "block": "blocked"}
"""Action → list of the library."""


def describe_library(
    user_id: str, rows: Mapping[str, Mapping[str, Sequence[Any]]], release: ServedRelease
) -> LibraryResponse:
    """The library of a user, from the rows of the views `library` and `exclusions`."""
    lists = {
        name: [_entry(kind, target, at, release) for kind, target, at in _in_force(rows, action, release)]
        for action, name in LISTS.items()
    }
    return LibraryResponse(user_id=user_id, **lists)


def _in_force(
    rows: Mapping[str, Mapping[str, Sequence[Any]]], action: str, release: ServedRelease
) -> list[tuple[str, str, int]]:
    """(target type, target id, time) of an action that was not taken back since, the newest first."""
    view = rows.get(EXCLUSIONS_VIEW if action in ("dislike", "block") else LIBRARY_VIEW) or {}
    marks = canonical_marks(marks_of_view(view), release.vocabulary.canonical_id)
    in_force = [
        (kind, target, at) for (name, kind, target), (at, is_active) in marks.items() if is_active and name == action
    ]
    return sorted(in_force, key=itemgetter(2), reverse=True)


def _entry(kind: str, target: str, at: int, release: ServedRelease) -> LibraryItem:
    track = None
    name = ""
    if kind == "track":
        item = release.vocabulary.track_code.get(target)
        if item is not None and item >= FIRST_CODE:
            track = describe_track(release, item)
            name = track.title
    elif kind == "artist":
        name = artist_name(target, release)
    else:
        name = collection_title(kind, target, release)
    return LibraryItem(target_type=kind, target_id=target, at=at, name=name, track=track)


def describe_track(release: ServedRelease, item: int) -> Track:
    """What responses say about a track."""
    return Track(**release.details(item))


def artist_name(artist_id: str, release: ServedRelease) -> str:
    """Name of an artist; empty if the release does not have it."""
    catalog = release.catalog
    code = catalog.artist_code.get(artist_id)
    if code is None:
        return ""
    place = int(np.argmax(catalog.artist_F == code))
    item = int(np.searchsorted(catalog.artist_offset_V1, place, side="right")) - 1
    names, number = catalog.artist_names_V[item], place - int(catalog.artist_offset_V1[item])
    return names[number] if number < len(names) else ""


def collection_title(kind: str, collection_id: str, release: ServedRelease) -> str:
    """Title of a playlist or mlog; empty if the release does not have it."""
    for source in release.collection_channels.values():
        collections = source.collections
        if collections.kind == kind and (number := collections.number_by_id.get(collection_id)) is not None:
            return str(collections.titles_N[number])
    return ""
