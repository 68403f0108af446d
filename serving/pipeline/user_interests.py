"""What a release calls the interests of a user: asked of the one channel that has names for them.

Knows nothing about how a listener is described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.multi_interest.channel import Interest, MultiInterest

INTEREST_CHANNEL = MultiInterest.name
"""The channel that has names."""


@dataclass(frozen=True)
class UserInterests:
    """A user's interests, the largest first, and what the sets that were asked about are called."""

    interests: list[Interest]
    names: dict[str, str]


def find_user_interests(
    release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]
) -> UserInterests | None:
    """The interests of the one request in `users` and a name for each set of items, none of them empty; None without the channel."""
    channel = release.channels.get(INTEREST_CHANNEL)
    if channel is None:
        return None
    return UserInterests(
        channel.interests(users), {key: channel.interest_names.name(items) for key, items in items_of.items()}
    )
