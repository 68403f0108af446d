"""The behaviors of logged actions, and the targets of the actions.

The seed `dbt/seeds/behaviors.csv` is written from this table by `python docs/contract_page.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

TARGET_TYPES = ("track", "playlist", "album", "artist", "mlog")
"""Types of what is played or shown, in the order of their codes in models."""
EVENT_TARGET_TYPES = (*TARGET_TYPES, "interest", "session")
"""Target types of events: an interest is named by its facet values; a private session begins and ends."""
INTEREST, SESSION, LEFT_OUT = ("interest",), ("session",), ("album", "playlist", "interest")
NAME_SEPARATOR = "="
"""Between the interest and its new name in the target of a `rename`."""
REVERSAL = "reversal"
"""Polarity of behaviors that take an earlier one back."""
CONTROL = "control"
"""Polarity of behaviors by which a user controls their taste profile; no model reads them as feedback."""


@dataclass(frozen=True)
class Behavior:
    """One row of the table."""

    behavior_id: int  # from 1
    behavior: str  # e.g. `full_play`
    action: str  # logged action that it derives from, e.g. `play`
    polarity: str  # `positive`, `negative`, `neutral`, REVERSAL or CONTROL
    is_explicit: bool  # explicit feedback (like, dislike, ...) as opposed to implicit
    description: str
    targets: tuple[str, ...] = TARGET_TYPES  # types of targets that the action applies to


BEHAVIORS = (
    Behavior(1, "full_play", "play", "positive", False, "Played to (nearly) the end"),
    Behavior(2, "play", "play", "neutral", False, "Partial play: neither skipped nor played to the end"),
    Behavior(3, "skip", "play", "negative", False, "Stopped within the first seconds"),
    Behavior(4, "click", "click", "neutral", False, "Opened from a list"),
    Behavior(5, "impression_without_click", "impression", "negative", False, "Shown but not clicked"),
    Behavior(6, "like", "like", "positive", True, "Liked"),
    Behavior(7, "collect", "collect", "positive", True, "Saved to the library or a playlist"),
    Behavior(8, "share", "share", "positive", True, "Shared with another user"),
    Behavior(9, "download", "download", "positive", True, "Downloaded for offline playback"),
    Behavior(10, "dislike", "dislike", "negative", True, "Marked as not interesting"),
    Behavior(11, "block", "block", "negative", True, "Excluded from future recommendations"),
    Behavior(12, "unlike", "unlike", REVERSAL, True, "Takes a like back"),
    Behavior(13, "uncollect", "uncollect", REVERSAL, True, "Takes a collect back"),
    Behavior(14, "undislike", "undislike", REVERSAL, True, "Takes a dislike back"),
    Behavior(15, "unblock", "unblock", REVERSAL, True, "Takes a block back"),
    Behavior(16, "exclude", "exclude", CONTROL, True, "Left out of the taste profile", LEFT_OUT),
    Behavior(17, "unexclude", "unexclude", REVERSAL, True, "Takes an exclude back", LEFT_OUT),
    Behavior(18, "reset", "reset", CONTROL, True, "Earlier plays of an interest no longer count", INTEREST),
    Behavior(19, "unreset", "unreset", REVERSAL, True, "Takes a reset back", INTEREST),
    Behavior(20, "rename", "rename", CONTROL, True, "Gives an interest a name", INTEREST),
    Behavior(21, "start_private", "start_private", CONTROL, True, "Begins a private session", SESSION),
    Behavior(22, "end_private", "end_private", CONTROL, True, "Ends a private session", SESSION),
)
POLARITIES = ("positive", "negative", "neutral", REVERSAL, CONTROL)
ACTIONS = tuple(dict.fromkeys(("impression", *(row.action for row in BEHAVIORS))))
