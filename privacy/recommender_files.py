"""Erasure of users from the stores and files of the recommender: events, responses, daily lists, private sessions and
feature log.

Run it after the users were added to the suppression list. A running service continues; its workers must have acknowledged the list,
so that they write nothing new of the users and have dropped what they cached.

The feature log is JSON-lines files. Those with lines of the users are replaced; the service opens them anew for every line.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from config import settings
from event_store.opened import open_event_store, open_serving_state
from event_store.store import ErasureUnfinished, ServingState
from privacy import ErasureError
from sequences.skew.feature_log import FEATURE_LOG_PREFIX
from storage import suppression_list
from storage.files import atomic_write
from storage.json_lines import spellings
from storage.suppression_list import SuppressionList

ACKNOWLEDGEMENT_TIMEOUT_S = 60.0
PAUSE_S = 0.1


class SuppressionNotAcknowledged(ErasureError):
    """A running worker has not acknowledged the suppression list; the message names it and the remedy."""


def suppress_users(users: SuppressionList, here: settings.Settings) -> None:
    """Copy the suppression list into the stores, which add nothing more of its users from then on.

    Raises:
        StoreUnavailable: A store cannot be written.
    """
    for open_store in (open_event_store, open_serving_state):
        with closing(open_store(here)) as store:
            store.suppress(users)


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> tuple[dict[str, Counter[str]], list[str]]:
    """Erase the users from the stores, and wait until all live workers have acknowledged the suppression list.

    Returns:
        Store ▸ number of rows per user, and reasons why bytes of users are left in a file.

    Raises:
        SuppressionNotAcknowledged: A worker has not acknowledged the list within `ACKNOWLEDGEMENT_TIMEOUT_S`.
        StoreUnavailable: A store cannot be written.
    """
    erased, unfinished = dict[str, Counter[str]](), list[str]()
    with closing(open_serving_state(here)) as state, closing(open_event_store(here)) as events:
        for name, store in (("event store", events), ("serving state", state)):
            try:
                erased[name] = store.erase(user_ids)
            except ErasureUnfinished as error:
                unfinished.append(str(error))
        _wait_for_acknowledgement(state, here.suppression_list)
    return erased, unfinished


def erase_feature_log(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users from the feature log; returns the number of lines per user.

    All examples of the skew report, which is made of the log, are removed, because they do not name their users.
    """
    erased: Counter[str] = Counter()
    report = here.reports / "skew.json"
    if report.exists():
        atomic_write(report, json.dumps(json.loads(report.read_text()) | {"examples": []}, indent=2) + "\n")
    for path in sorted(here.feature_log.glob(f"dt=*/{FEATURE_LOG_PREFIX}-*.jsonl")):
        erased += erase_lines(path, user_ids)
    return erased


def erase_lines(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Remove the users' lines from a file: those with their `user_id`, and invalid lines that contain it as a JSON string.

    The file is replaced, so a line of another user that is appended at this moment may be missing from the sample.

    Returns:
        The number of lines per user.
    """
    texts_of = {user: spellings(user) for user in user_ids}
    lines = path.read_bytes().splitlines(keepends=True)
    users = [_user_of(line, texts_of) for line in lines]
    erased = Counter(user for user in users if user is not None)
    if erased:
        kept = [line for line, user in zip(lines, users, strict=True) if user is None]
        atomic_write(path, b"".join(kept), is_durable=True, mode=0o640)
    return erased


def _wait_for_acknowledgement(state: ServingState, file: Path) -> None:
    digest = suppression_list.content_digest(suppression_list.read_content(file))
    deadline = time.monotonic() + ACKNOWLEDGEMENT_TIMEOUT_S
    while late := [one.name for one in state.workers() if one.state.get("suppressed") != digest]:
        if time.monotonic() > deadline:
            raise SuppressionNotAcknowledged(
                f"the recommender's worker {late[0]} has not acknowledged {file} within {ACKNOWLEDGEMENT_TIMEOUT_S:.0f} s; stop "
                "the recommender (make stop), run this again, then start it (make serve)"
            )
        time.sleep(PAUSE_S)


def _user_of(line: bytes, texts_of: Mapping[str, Collection[bytes]]) -> str | None:
    mentioned = [user for user, texts in texts_of.items() if any(text in line for text in texts)]
    if not mentioned:
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return mentioned[0]
    user_id = row.get("user_id") if isinstance(row, dict) else None
    return user_id if user_id in mentioned else None
