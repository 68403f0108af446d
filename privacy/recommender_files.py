"""`python -m privacy.recommender_files`: users leave the recommender, its event and exposure logs and its daily lists.

A step of `python -m privacy.erase`, after the users were put on the list of those who were forgotten. A running service
goes on; it must have taken up the list, so that nothing new of them is written behind our back. Reads a JSON list of user
ids, prints {place: {user: how many}}.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from config import settings
from privacy import json_lines, sqlite
from privacy.sqlite import FileBusy
from serving.events import daily_jsonl, exposures, write_ahead_log
from serving.events.suppression import read_acknowledgement
from serving.pipeline import daily_lists
from storage import suppression_list

ACKNOWLEDGEMENT_TIMEOUT_S = 60.0

Counts = dict[str, Counter[str]]


class SuppressionNotAcknowledged(RuntimeError):
    """The running service does not know yet who was forgotten; the message names it and the remedy."""


def erase_users(
    user_ids: Sequence[str], here: settings.Settings, timeout_s: float = ACKNOWLEDGEMENT_TIMEOUT_S
) -> Counts:
    """Erase the users from everything that the recommender writes; what was erased, place by place.

    Raises:
        NotTakenUp: a service runs and has not acknowledged the list within `wait_s`.
        FileBusy: the daily lists are in use all the time.
    """
    state = here.home / "serving"
    wait_for_acknowledgement(here.suppression_list, state, timeout_s)
    lists = sqlite.erase(state / daily_lists.DAILY_LISTS_FILE, "user_id", {user: user for user in user_ids})
    return {
        "event log": _erase_from_logs(user_ids, here.event_log, write_ahead_log.EVENT_LOG_PREFIX),
        "exposure log": _erase_from_logs(user_ids, here.event_log, exposures.EXPOSURE_LOG_PREFIX),
        "daily lists": lists,
    }


def wait_for_acknowledgement(file: Path, state: Path, wait_s: float) -> None:
    """Returns when no service runs, or the one that runs has taken up the list.

    Raises:
        NotTakenUp: it has not, within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while (process := running_process(state)) is not None and read_acknowledgement(
        state
    ) != suppression_list.content_digest(suppression_list.read_content(file)):
        if time.monotonic() > deadline:
            raise SuppressionNotAcknowledged(
                f"process {process} runs the recommender and has not taken up {file} within {wait_s:.0f} s; stop it "
                "(make stop), run this again, then start it (make serve)"
            )
        time.sleep(0.1)


def running_process(state: Path) -> str | None:
    """The process that writes the event log, or None. A service that starts later reads the list first."""
    lock = state / write_ahead_log.LOCK_FILE
    if not lock.exists():
        return None
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return None


def _erase_from_logs(user_ids: Sequence[str], folder: Path, name: str) -> Counter[str]:
    erased: Counter[str] = Counter()
    for path in daily_jsonl.list_files(folder, name):
        erased += json_lines.erase(path, user_ids)
    return erased


def main() -> int:
    """The command."""
    try:
        counts = erase_users(json.load(sys.stdin), settings.load_settings())
    except (SuppressionNotAcknowledged, FileBusy) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
