"""The taste profile of a user, for the user to control: interests, what is left out, and the private session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from event_store.private_sessions import PrivateSession
from recommender.user.exclusions import EXCLUSIONS_VIEW, Target, marks_of_view, names_of_view
from recommender.user.user_batch import HISTORY_VIEW, is_listened
from sequences.sequence_batch import FIRST_CODE
from serving.inspection.library import collection_title, describe_track
from serving.pipeline.stages.recall import Recall
from serving.pipeline.user_state import UserState
from serving.releases.served_release import ServedRelease
from serving.response_schemas import LeftOutTarget, PrivateSessionResponse, TasteInterest, TasteResponse, Track

MAX_EXAMPLES = 4
INTEREST = "interest"


def describe_taste(
    user: UserState,
    rows: Mapping[str, Mapping[str, Sequence[Any]]],
    release: ServedRelease,
    recall: Recall,
    private_session: PrivateSession | None,
) -> TasteResponse:
    """The taste profile of a hydrated user.

    Args:
        user: The user's state, without what is left out.
        rows: Rows of the user's sequence views.
        release: Release that serves the user.
        recall: Recall stage, which finds the interests.
        private_session: The session that lasts now.
    """
    view = rows.get(EXCLUSIONS_VIEW) or {}
    names, marks = names_of_view(view), marks_of_view(view)
    profile = user.exclusions.profile
    paused = [target for kind, target in profile if kind == INTEREST and profile[kind, target] is None]
    interests = _active_interests(user, release, recall, names)
    found = {interest.interest_id for interest in interests}
    left_out_items = Counter(user.left_out_events.tolist())
    for interest in paused:
        items = set(release.target_tracks.items_of((INTEREST, interest)).tolist())
        played = [item for item, _ in left_out_items.most_common() if item in items]
        if interest not in found:
            interests.append(_interest(interest, names, 0.0, True, played, release))
    left_out = []
    for (kind, target), until in profile.items():
        if kind == INTEREST and until is None:
            continue
        action = "exclude" if until is None else "reset"
        at_us, _ = marks.get((action, kind, target), (until or 0, True))
        left_out.append(_left_out_target(action, (kind, target), at_us, names, release))
    left_out.sort(key=lambda one: -one.at)
    lasting = None if private_session is None else PrivateSessionResponse.model_validate(private_session)
    return TasteResponse(
        user_id=user.users.user_ids[0], interests=interests, left_out=left_out, private_session=lasting
    )


def _active_interests(
    user: UserState, release: ServedRelease, recall: Recall, names: Mapping[str, str]
) -> list[TasteInterest]:
    """The interests in what counts; those with equal names are one."""
    found, _ = recall.find_user_interests(release, user.users, {})
    history = user.users.views.get(HISTORY_VIEW)
    plays = Counter(history.columns["track_id"][0][is_listened(history)[0]].tolist() if history is not None else ())
    share_of: dict[str, float] = {}
    items: dict[str, list[int]] = {}
    for interest in found:
        share_of[interest.name] = share_of.get(interest.name, 0.0) + interest.share
        items.setdefault(interest.name, []).extend(interest.items.tolist())
    return [
        _interest(
            name,
            names,
            round(share, 3),
            False,
            sorted(set(items[name]), key=lambda item: (-plays[item], item)),
            release,
        )
        for name, share in sorted(share_of.items(), key=lambda one: -one[1])
    ]


def _interest(
    interest_id: str,
    names: Mapping[str, str],
    share: float,
    is_paused: bool,
    items: Sequence[int],
    release: ServedRelease,
) -> TasteInterest:
    return TasteInterest(
        interest_id=interest_id,
        name=names.get(interest_id, ""),
        share=share,
        is_paused=is_paused,
        tracks=_examples(items, release),
    )


def _examples(items: Sequence[int], release: ServedRelease) -> list[Track]:
    known = [item for item in items if item >= FIRST_CODE]
    return [describe_track(release, item) for item in known[:MAX_EXAMPLES]]


def _left_out_target(
    action: str, target: Target, at_us: int, names: Mapping[str, str], release: ServedRelease
) -> LeftOutTarget:
    kind, target_id = target
    items = release.target_tracks.items_of(target)
    if kind == "album":
        name = release.catalog.album_titles.get(target_id, "")
    elif kind == INTEREST:
        name = names.get(target_id, "")
    else:
        name = collection_title(kind, target_id, release)
    served = items[release.catalog.is_served_V[items]] if len(items) else np.zeros(0, dtype=np.int64)
    return LeftOutTarget.model_validate(
        {
            "action": action,
            "target_type": kind,
            "target_id": target_id,
            "at": at_us,
            "name": name,
            "track_count": len(items),
            "tracks": _examples(served.tolist(), release),
        }
    )
