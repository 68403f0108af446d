"""What a sequence feature is: the last L events of a user before time t, of some behaviours.

This is the one place. The offline store, the dense reader, materialisation and the online reader all answer the
views declared here; Feast's feature views are made from them (`feature_repo/sequence_views.py`).

Order and time are the event table's: rows sorted by `known_at` within a user, which is the contract's order
(`ended_at`, then `sequence_number`, then `event_id`). "Before t" is `known_at < t`; a request's time never equals a
`known_at`, so `<=` gives the same rows.

A **daily** view shows a request what was known before the midnight (UTC) before it. So it can hold what nobody reports:
`impression_without_click` becomes known by the absence of an outcome, and the day's materialisation brings it, as it
brings the profile (docs/adr/0033-impressions-left-alone.md). Such a behaviour has no place in any other view.

Knows nothing about storage, Feast or tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = Literal["string", "time", "ratio", "order"]

Times = TypeVar("Times", int, NDArray[np.int64])

DAY_US = 86_400_000_000
INFERRED_BEHAVIOURS = ("impression_without_click",)
"""Behaviours that no event reports: they follow from what did not happen."""

SEQUENCE_TAG = "sequence"
"""The Feast tag that marks a feature view as a sequence view; its value is `SequenceView.to_json()`."""


class SequenceViewError(ValueError):
    """A sequence view cannot be used as asked; the message names the view and the remedy."""


@dataclass(frozen=True)
class Attribute:
    """One value an event contributes: a column of the event table.

    `string` is text ("" when the event has none), `time` is int64 µs since 1970 UTC, `ratio` is float32 (NaN when
    unknown), `order` is an int64 that only orders events: readers of lists give it, batches for models leave it out.
    """

    name: str
    kind: Kind


EVENT_ID = Attribute("event_id", "string")
TARGET_TYPE = Attribute("target_type", "string")
TARGET_ID = Attribute("target_id", "string")
TRACK_ID = Attribute("track_id", "string")
BEHAVIOUR = Attribute("behaviour", "string")
OCCURRED_AT = Attribute("occurred_at", "time")
ENDED_AT = Attribute("ended_at", "time")
SEQUENCE_NUMBER = Attribute("sequence_number", "order")
PLAYED_RATIO = Attribute("played_ratio", "ratio")
SCENE = Attribute("scene", "string")

ATTRIBUTES: dict[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        EVENT_ID,
        TARGET_TYPE,
        TARGET_ID,
        TRACK_ID,
        BEHAVIOUR,
        OCCURRED_AT,
        ENDED_AT,
        SEQUENCE_NUMBER,
        PLAYED_RATIO,
        SCENE,
    )
}

SORT_KEY_ATTRIBUTES = (ENDED_AT, SEQUENCE_NUMBER, EVENT_ID)
"""The contract's order of a user's events. Every view has these, so that a landed and a live event of one `ended_at`
come in the order in which the event table will have them.
"""


@dataclass(frozen=True)
class SequenceView:
    """The last `length` events with one of `behaviours` on one of `target_types` (empty: any), oldest first.

    `is_daily`: of the events known before the last midnight.
    """

    name: str
    behaviours: tuple[str, ...]
    length: int
    attributes: tuple[Attribute, ...]
    target_types: tuple[str, ...] = ()
    is_daily: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SequenceViewError(f"view {self.name!r} has length {self.length}; give at least 1")
        lacking = [attribute.name for attribute in SORT_KEY_ATTRIBUTES if attribute not in self.attributes]
        if lacking:
            raise SequenceViewError(
                f"view {self.name!r} lacks {lacking}; batch and live parts are merged by them, add them"
            )
        unreported = sorted({*self.behaviours}.intersection(INFERRED_BEHAVIOURS))
        if unreported and (not self.is_daily or len(unreported) < len(self.behaviours)):
            raise SequenceViewError(
                f"view {self.name!r} has {unreported}, which nobody reports; give it a daily view without other behaviours"
            )

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes, in the view's order."""
        return tuple(attribute.name for attribute in self.attributes)

    def matches(self, behaviour: str, target_type: str) -> bool:
        """Whether an event of this behaviour on this type of target belongs to the view."""
        return behaviour in self.behaviours and (not self.target_types or target_type in self.target_types)

    def cutoff_us(self, time_us: Times) -> Times:
        """What a request at a time sees is what was known before this time, both in µs UTC."""
        return time_us // DAY_US * DAY_US if self.is_daily else time_us

    def to_json(self) -> str:
        """The definition as one line of JSON: what `feast apply` writes into the registry."""
        return json.dumps(
            {
                "name": self.name,
                "behaviours": self.behaviours,
                "length": self.length,
                "attributes": self.attribute_names,
                "target_types": self.target_types,
                "is_daily": self.is_daily,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SequenceView:
        """The view that `to_json` wrote.

        Raises:
            SequenceViewError: the text names an attribute that no event has.
        """
        stored = json.loads(text)
        unknown = set(stored["attributes"]) - ATTRIBUTES.keys()
        if unknown:
            raise SequenceViewError(
                f"view {stored['name']!r} has attributes {sorted(unknown)} that no event has; run `feast apply` again"
            )
        return cls(
            name=stored["name"],
            behaviours=tuple(stored["behaviours"]),
            length=stored["length"],
            attributes=tuple(ATTRIBUTES[name] for name in stored["attributes"]),
            target_types=tuple(stored["target_types"]),
            is_daily=stored.get("is_daily", False),
        )


_ALL_ATTRIBUTES = (
    EVENT_ID,
    TARGET_TYPE,
    TARGET_ID,
    TRACK_ID,
    BEHAVIOUR,
    OCCURRED_AT,
    ENDED_AT,
    SEQUENCE_NUMBER,
    PLAYED_RATIO,
    SCENE,
)

SEQUENCE_VIEWS: dict[str, SequenceView] = {
    view.name: view
    for view in (
        SequenceView(
            name="recent_events",
            behaviours=(
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
            ),
            length=50,
            attributes=(EVENT_ID, TRACK_ID, BEHAVIOUR, OCCURRED_AT, ENDED_AT, SEQUENCE_NUMBER, PLAYED_RATIO, SCENE),
            target_types=("track",),
        ),
        SequenceView(name="recent_clicks", behaviours=("click",), length=50, attributes=_ALL_ATTRIBUTES),
        SequenceView(
            name="recent_negatives",
            behaviours=("skip", "dislike", "block"),
            length=50,
            attributes=(EVENT_ID, TARGET_TYPE, TARGET_ID, TRACK_ID, BEHAVIOUR, ENDED_AT, SEQUENCE_NUMBER, PLAYED_RATIO),
        ),
        SequenceView(
            name="played_history",
            behaviours=("full_play", "play", "skip"),
            length=2000,
            attributes=(EVENT_ID, TRACK_ID, BEHAVIOUR, OCCURRED_AT, ENDED_AT, SEQUENCE_NUMBER, PLAYED_RATIO),
            target_types=("track",),
        ),
        SequenceView(
            name="exclusions",
            behaviours=("dislike", "block"),
            length=1000,
            attributes=(EVENT_ID, TARGET_TYPE, TARGET_ID, TRACK_ID, BEHAVIOUR, ENDED_AT, SEQUENCE_NUMBER),
        ),
        SequenceView(
            name="impressions_left",
            behaviours=INFERRED_BEHAVIOURS,
            length=50,
            attributes=(EVENT_ID, TRACK_ID, BEHAVIOUR, ENDED_AT, SEQUENCE_NUMBER),
            target_types=("track",),
            is_daily=True,
        ),
    )
}

LIVE_SOURCE = "live_events"
"""The push source, and the feature view, of the users' live parts."""

LIVE_ATTRIBUTES = _ALL_ATTRIBUTES
"""What a live event keeps: every attribute that any view shows."""
