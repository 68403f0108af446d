"""What is known of the user at the moment of the request, from the online store, as the arrays that models take.

Knows nothing about candidates.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from serving.exclusions import Exclusions
from serving.metrics import Metrics
from serving.request import Request
from serving.served_release import ServedRelease
from training.features import UserBatch, from_online

REMEMBERED_USERS = 100_000

Sequences = Mapping[str, Mapping[str, Sequence[Any]]]
"""view ▸ attribute ▸ values, oldest first: what the online reader gives for a user."""

logger = logging.getLogger(__name__)


class OnlineFeatures(Protocol):
    """The online store as the request path needs it."""

    def sequences(self, user_id: str) -> Sequences:
        """Every sequence view of the user, empty for one nobody knows."""

    def profile(self, user_id: str) -> Mapping[str, float | None]:
        """Ordinary features, `view__feature` ▸ value."""


@dataclass(frozen=True)
class Hydrated:
    """One request's user: B = 1 in `users`. `is_known` is False where the store has no event of the user."""

    users: UserBatch
    exclusions: Exclusions
    is_known: bool


class Hydrate:
    """Reads and encodes. With the store away a user counts as unknown, but what they excluded is remembered."""

    def __init__(self, online: OnlineFeatures, metrics: Metrics) -> None:
        self._online, self._metrics = online, metrics
        self._excluded: OrderedDict[str, Exclusions] = OrderedDict()

    def user(self, request: Request, release: ServedRelease) -> Hydrated:
        """Everything known of the request's user before the request, as the release numbers it."""
        sequences = self._sequences(request.user_id)
        profile = self._profile(request.user_id) if release.contract.features else {}
        users = from_online(
            release.vocabulary,
            release.contract,
            [request.user_id],
            np.array([request.at_us], dtype=np.int64),
            [sequences or {}],
            [profile],
            [request.scene.name],
        )
        return Hydrated(
            users=users,
            exclusions=self._exclusions(request.user_id, sequences),
            is_known=any(len(rows.get("event_id", ())) for rows in (sequences or {}).values()),
        )

    def _sequences(self, user_id: str) -> Sequences | None:
        try:
            return self._online.sequences(user_id)
        except Exception:
            logger.exception("the online store gave no sequences")
            self._metrics.skipped.labels("online_sequences").inc()
            return None

    def _profile(self, user_id: str) -> Mapping[str, float | None]:
        try:
            return self._online.profile(user_id)
        except Exception:
            logger.exception("the online store gave no profile")
            self._metrics.skipped.labels("online_profile").inc()
            return {}

    def _exclusions(self, user_id: str, sequences: Sequences | None) -> Exclusions:
        if sequences is None:
            return self._excluded.get(user_id, Exclusions())
        exclusions = Exclusions.of(sequences)
        if exclusions.track_ids or exclusions.artist_ids:
            self._excluded[user_id] = exclusions
            self._excluded.move_to_end(user_id)
            while len(self._excluded) > REMEMBERED_USERS:
                self._excluded.popitem(last=False)
        return exclusions
