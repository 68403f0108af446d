"""Sequence views: definitions of sequence features, i.e. the last L events of a user before time t with some behaviors.

The single definition: the offline stores, the dense reader, materialization and the online reader all serve the views
declared here, and Feast's feature views are generated from them (`feature_repo/views.py`).

Order and time come from the event table: rows sorted by `known_at` within a user, which is the order of the contract
(`ended_at`, then `sequence_number`, then `event_id`). "Before t" means `known_at < t`; a request time never equals a
`known_at`, so `<=` gives the same rows.

A **daily** view contains the events known before the last midnight (UTC) before the request. Only a daily view can
contain inferred behaviors: `impression_without_click` is inferred from the absence of an outcome and arrives with the
daily materialization, as the profile does (docs/adr/README.md#0033).

Independent of storage, Feast and tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = Literal["string", "time", "ratio", "order"]

Times = TypeVar("Times", int, NDArray[np.int64])

DAY_US = 86_400_000_000
INFERRED_BEHAVIORS = ("impression_without_click",)
"""Behaviors that no event reports; they are inferred from the absence of an event."""

SEQUENCE_TAG = "sequence"
"""The Feast tag that marks a feature view as a sequence view; its value is `SequenceView.to_json()`."""


class SequenceViewError(ValueError):
    """A sequence view is invalid or used incorrectly; the message names the view and the remedy."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of an event: a column of the event table.

    Kinds: `string` is text ("" if missing), `time` is int64 µs since 1970 UTC, `ratio` is float32 (NaN if unknown),
    `order` is an int64 used only for sorting, included in lists but not in batches for models.
    """

    name: str  # column name
    kind: Kind
    description: str


ATTRIBUTES: dict[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        Attribute("event_id", "string", "Unique id of the event."),
        Attribute(
            "target_type", "string", "Type of the target: track, playlist, album, artist, mlog, interest or session."
        ),
        Attribute("target_id", "string", "Id of the target within its type."),
        Attribute("track_id", "string", "Id of the target if it is a track, else empty."),
        Attribute(
            "behavior", "string", "Meaning of the event, e.g. full_play, skip or like (dbt/seeds/behaviors.csv)."
        ),
        Attribute("occurred_at", "time", "Start, µs since 1970 UTC; rounded down if the source has ends only."),
        Attribute("ended_at", "time", "Time at which the outcome was known, µs since 1970 UTC."),
        Attribute("sequence_number", "order", "Order of events of the user that end at the same time."),
        Attribute("played_ratio", "ratio", "Fraction of the track that was played, 0 to 1; NaN if unknown."),
        Attribute("scene", "string", "Product scene, e.g. daily or private_fm; empty if unknown."),
    )
}

SORT_KEY_ATTRIBUTES = ("ended_at", "sequence_number", "event_id")
"""The contract's sort key of a user's events. Every view has these attributes, so that landed and live events with the
same `ended_at` are merged in the order of the event table.
"""


@dataclass(frozen=True)
class SequenceView:
    """The last `length` events with one of `behaviors` on one of `target_types`, oldest first."""

    name: str  # name of the feature view
    behaviors: tuple[str, ...]  # behaviors that belong to the view
    length: int  # L: maximum number of events
    attribute_names: tuple[str, ...]  # of ATTRIBUTES; the sort key is required
    target_types: tuple[str, ...] = ()  # target types that belong to the view; empty: all
    is_daily: bool = False  # only events known before the last midnight (UTC) before the request

    @cached_property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes, in the view's order."""
        return tuple(ATTRIBUTES[name] for name in self.attribute_names)

    def matches(self, behavior: str, target_type: str) -> bool:
        """Whether an event with this behavior and target type belongs to the view."""
        return behavior in self.behaviors and (not self.target_types or target_type in self.target_types)

    def cutoff_us(self, time_us: Times) -> Times:
        """Time before which an event must be known to be visible to a request at `time_us`; both in µs UTC."""
        return time_us // DAY_US * DAY_US if self.is_daily else time_us

    def to_json(self) -> str:
        """The definition as one line of JSON, as `feast apply` stores it in the registry."""
        return json.dumps(
            {
                "name": self.name,
                "behaviors": self.behaviors,
                "length": self.length,
                "attributes": self.attribute_names,
                "target_types": self.target_types,
                "is_daily": self.is_daily,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SequenceView:
        """The view of a `to_json` text.

        Raises:
            SequenceViewError: The text names an unknown attribute.
        """
        stored = json.loads(text)
        if unknown := set(stored["attributes"]) - ATTRIBUTES.keys():
            raise SequenceViewError(
                f"view {stored['name']!r} has unknown attributes {sorted(unknown)}; run `feast apply` again"
            )
        return cls(
            name=stored["name"],
            behaviors=tuple(stored["behaviors"]),
            length=stored["length"],
            attribute_names=tuple(stored["attributes"]),
            target_types=tuple(stored["target_types"]),
            is_daily=stored.get("is_daily", False),
        )


def sequence_view_of(source: Any) -> SequenceView | None:
    """The sequence view of a data source of Feast that has its tag; None for an ordinary source."""
    text = source.tags.get(SEQUENCE_TAG) if source is not None else None
    return SequenceView.from_json(text) if text else None


SEQUENCE_VIEWS: dict[str, SequenceView] = {
    view.name: view
    for view in (
        SequenceView(
            name="recent_events",
            behaviors=(
                "full_play",
                "play",
                "skip",
                "click",
                "like",
                "collect",
                "share",
                "download",
                "dislike",
                "block",
                "unlike",
                "uncollect",
                "undislike",
                "unblock",
            ),
            length=50,
            attribute_names=(
                "event_id",
                "track_id",
                "behavior",
                "occurred_at",
                "ended_at",
                "sequence_number",
                "played_ratio",
                "scene",
            ),
            target_types=("track",),
        ),
        SequenceView(name="recent_clicks", behaviors=("click",), length=50, attribute_names=tuple(ATTRIBUTES)),
        SequenceView(
            name="recent_negatives",
            behaviors=("skip", "dislike", "block", "undislike", "unblock"),
            length=50,
            attribute_names=(
                "event_id",
                "target_type",
                "target_id",
                "track_id",
                "behavior",
                "ended_at",
                "sequence_number",
                "played_ratio",
            ),
        ),
        SequenceView(
            name="played_history",
            behaviors=("full_play", "play", "skip"),
            length=2000,
            attribute_names=(
                "event_id",
                "track_id",
                "behavior",
                "occurred_at",
                "ended_at",
                "sequence_number",
                "played_ratio",
            ),
            target_types=("track",),
        ),
        SequenceView(
            name="exclusions",
            behaviors=(
                "dislike",
                "block",
                "exclude",
                "reset",
                "rename",
                "undislike",
                "unblock",
                "unexclude",
                "unreset",
            ),
            length=1000,
            attribute_names=(
                "event_id",
                "target_type",
                "target_id",
                "track_id",
                "behavior",
                "ended_at",
                "sequence_number",
            ),
        ),
        SequenceView(
            name="library",
            behaviors=("like", "collect", "unlike", "uncollect"),
            length=500,
            attribute_names=("event_id", "target_type", "target_id", "behavior", "ended_at", "sequence_number"),
        ),
        SequenceView(
            name="impressions_left",
            behaviors=INFERRED_BEHAVIORS,
            length=50,
            attribute_names=("event_id", "track_id", "behavior", "ended_at", "sequence_number"),
            target_types=("track",),
            is_daily=True,
        ),
    )
}
