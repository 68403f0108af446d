"""What the filters need to know of a request."""

from __future__ import annotations

import numpy as np

from serving.pipeline.request import Request
from serving.pipeline.stages.hydrate import UserState
from serving.releases.served_release import ServedRelease
from training.data.exclusions import Exclusions
from training.data.profile_exclusions import NO_ITEMS
from training.data.user_history import items_listened_twice
from training.slate.filters import FilterContext


def build_filter_context(
    request: Request,
    release: ServedRelease,
    user: UserState | None,
    already_shown: np.ndarray = NO_ITEMS,
    left_out: np.ndarray = NO_ITEMS,
    skipped_unheard: np.ndarray = NO_ITEMS,
) -> FilterContext:
    """The inputs of the filters.

    Args:
        request: The request.
        release: The release that serves it.
        user: State of the user; None for a request without a user.
        already_shown: Items that must not be shown again.
        left_out: Items that the user left out of the taste profile.
        skipped_unheard: Items that the user skipped and never listened to.
    """
    return FilterContext(
        release.catalog,
        user.exclusions if user else Exclusions(),
        release.vocabulary.track_code,
        request.at_us,
        already_shown,
        request.territory,
        request.is_explicit_wanted,
        left_out,
        skipped_unheard,
        items_listened_twice(user.users.views) if user else NO_ITEMS,
    )
