"""State of a user: what depends only on the user's history, computed once and kept for the requests that follow.

A page asks for several lists at once, and a stream for the next tracks. The rows of the user, the candidates of the sources,
the ranker's scores and the reasons are equal for all of them. States are bounded in bytes and arrays of one release. Independent of
the store.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Container, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from event_store.store import DAY_US
from recommender.array_types import Ints
from recommender.recall.reason import Reason
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.filters import FilterContext
from recommender.user.exclusions import NO_ITEMS, Exclusions, Marks
from recommender.user.user_batch import (
    UserBatch,
    current_session_items,
    items_listened_twice,
    skipped_unheard_items,
    unplayed_items_of_new_user,
)
from serving.pipeline.request import Request
from serving.releases.served_release import ServedRelease

STATE_FROM_STORE, STATE_FROM_CACHE, STATE_UNAVAILABLE = "store", "memory", "nothing"
"""Sources of the state of a user."""
STATE_AGE_US = 60_000_000
"""Time after which a state is computed again: how active a track is depends on the clock."""
MAX_BYTES = 64 << 20
RESULT_BYTES = 256 << 10
"""Approximate size of what a state has computed, in addition to its rows."""


@dataclass
class UserState:
    """The user of requests as of `users.request_at_B`, the first of them."""

    users: UserBatch  # B = 1, without a scene
    exclusions: Exclusions  # blocked and disliked targets
    is_known: bool  # False if the store has no event of the user
    left_out_events: np.ndarray = field(default_factory=lambda: NO_ITEMS)
    """Items of the events that the user left out of the taste profile, with repetitions."""
    left_out: np.ndarray = field(default_factory=lambda: NO_ITEMS)
    """Items not to recommend because of that, ascending."""
    marks: Marks = field(default_factory=dict)  # what `exclusions` were made from
    state_from: str = STATE_FROM_STORE  # if the store failed: STATE_FROM_CACHE or STATE_UNAVAILABLE
    found: dict[str, Ints] = field(default_factory=dict)  # source → candidates [1, K]
    reasons: dict[str, dict[int, Reason | None]] = field(default_factory=lambda: defaultdict(dict))
    """Source → item → why it was found; None if the source has failed to say."""
    fused: dict[str, tuple[tuple[Any, ...], CandidateTable]] = field(default_factory=dict)
    """Scene → what the last fusion depended on besides the state, and its result."""
    ranked: dict[str, tuple[CandidateTable, tuple[CandidateTable, CandidateTable]]] = field(default_factory=dict)
    """Scene → the last candidates that were ranked, and the result."""
    _in_scene: dict[str, UserBatch] = field(default_factory=dict)

    @property
    def at_us(self) -> int:
        """Time of the state."""
        return int(self.users.request_at_B[0])

    def in_scene(self, scene: str) -> UserBatch:
        """The request in a scene, for the ranker; channels do not read scenes."""
        return self._in_scene.setdefault(scene, replace(self.users, scene_B=[scene]))

    @cached_property
    def history(self) -> np.ndarray:
        """Distinct items that the user has played, ascending."""
        return self.users.history_items.items

    @cached_property
    def session(self) -> np.ndarray:
        """Items of the current session, oldest first."""
        return current_session_items(self.users.views, self.users.request_at_B)

    @cached_property
    def unplayed_picks(self) -> np.ndarray:
        """What a new user has chosen without playing it."""
        return unplayed_items_of_new_user(self.users.views)

    @cached_property
    def skipped_unheard(self) -> np.ndarray:
        """Items that the user skipped and never listened to."""
        return skipped_unheard_items(self.users.views)

    @cached_property
    def listened_twice(self) -> np.ndarray:
        """Items that the user has listened to at least twice."""
        return items_listened_twice(self.users.views)


def filter_context(request: Request, release: ServedRelease, user: UserState | None, **others: Any) -> FilterContext:
    """The inputs of the filters of every request, and `others`; `user` is None for one without a user."""
    return FilterContext(
        release.catalog,
        user.exclusions if user else Exclusions(),
        release.vocabulary.track_code,
        request.at_us,
        territory=request.territory,
        is_explicit_wanted=request.is_explicit_wanted,
        **{"wanted_sounds": user.listened_twice if user else NO_ITEMS} | others,
    )


@dataclass(frozen=True)
class CachedState:
    """A state and what it was computed from."""

    release: weakref.ref[ServedRelease]  # weak: a state must not keep a release that has left service
    version: Hashable  # of what the store had
    state: UserState

    @property
    def size(self) -> int:
        columns = [column for view in self.state.users.views.values() for column in view.columns.values()]
        return RESULT_BYTES + sum([column.nbytes for column in [*columns, *self.state.users.profile.values()]])


class StateCache:
    """The latest state of each user; evicts the one that was computed longest ago. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, CachedState] = OrderedDict()
        self._bytes = 0
        self._erased: Container[str] = ()
        self._lock = Lock()

    def get(self, release: ServedRelease, user_id: str, at_us: int) -> CachedState | None:
        """The state for a request at `at_us`; None if it is older than STATE_AGE_US or of another day or release."""
        entry = self._entries.get(user_id)
        if entry is None or entry.release() is not release:
            return None
        began_us = entry.state.at_us
        is_fresh = 0 <= at_us - began_us <= STATE_AGE_US and at_us // DAY_US == began_us // DAY_US
        return entry if is_fresh else None

    def latest(self, release: ServedRelease, user_id: str) -> UserState | None:
        """The last state of the user for this release, however old, for when the store fails."""
        entry = self._entries.get(user_id)
        return entry.state if entry is not None and entry.release() is release else None

    def marks(self, user_id: str) -> Marks:
        """What the last state of the user excluded, of whichever release."""
        entry = self._entries.get(user_id)
        return entry.state.marks if entry is not None else {}

    def put(self, release: ServedRelease, version: Hashable, state: UserState) -> None:
        """Keep a state instead of the one of the same user, unless the user is erased."""
        entry, user_id = CachedState(weakref.ref(release), version, state), state.users.user_ids[0]
        with self._lock:
            if user_id in self._erased:
                return
            self._drop(user_id)
            self._entries[user_id] = entry
            self._bytes += entry.size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def erase_users(self, users: Container[str]) -> None:
        """Remove the states of these users, and keep none from now on."""
        with self._lock:
            self._erased = users
            for user_id in [one for one in self._entries if one in users]:
                self._drop(user_id)

    def _drop(self, user_id: str) -> None:
        entry = self._entries.pop(user_id, None)
        self._bytes -= entry.size if entry else 0
