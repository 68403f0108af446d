"""Erasure of users from the files of the recommender: event log, exposure log, daily lists, private sessions and
feature log.

Run it after the users were added to the suppression list. A running service continues; it must have acknowledged the list,
so that it writes nothing new of the users.

The logs are JSON-lines files. The users' lines are overwritten in place with blanks of the same length: the service may append
meanwhile, and recorded offsets (low watermark, log position of a request) stay valid. Readers skip blank lines.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from config import settings
from privacy import ErasureError, sqlite
from sequences.skew.feature_log import FEATURE_LOG_PREFIX
from serving.events import exposure_log, private_sessions, write_ahead_log
from serving.events.suppression import read_acknowledgement
from serving.pipeline import daily_lists
from storage import daily_files, suppression_list
from storage.file_lock import lock_holder
from storage.files import atomic_write

ACKNOWLEDGEMENT_TIMEOUT_S = 60.0

ERASED_PREFIX = b" "
"""First byte of erased lines only; a line that an interrupted run erased partially is completed by the next run."""


class SuppressionNotAcknowledged(ErasureError):
    """The running service has not acknowledged the suppression list; the message names the process and the remedy."""


def erase_users(
    user_ids: Sequence[str], here: settings.Settings, timeout_s: float = ACKNOWLEDGEMENT_TIMEOUT_S
) -> dict[str, Counter[str]]:
    """Erase the users from event log, exposure log, daily lists and private sessions; returns file ▸ number of rows per user.

    Those of the replicas of a cluster are included if they are visible below the home.

    Raises:
        SuppressionNotAcknowledged: A running service has not acknowledged the list within `timeout_s` seconds.
        FileBusy: The daily lists are locked by other processes.
    """
    erased: dict[str, Counter[str]] = {
        name: Counter() for name in ("event log", "exposure log", "daily lists", "private sessions")
    }
    keys = {user: user for user in user_ids}
    for log in daily_files.log_folders(here.event_log):
        state = here.home / "serving" / log.relative_to(here.event_log)
        wait_for_acknowledgement(here.suppression_list, state, timeout_s)
        erased["daily lists"] += sqlite.erase(state / daily_lists.DAILY_LISTS_FILE, "user_id", keys)
        erased["event log"] += _erase_from_logs(user_ids, log, write_ahead_log.EVENT_LOG_PREFIX)
        erased["exposure log"] += _erase_from_logs(user_ids, log, exposure_log.EXPOSURE_LOG_PREFIX)
        erased["private sessions"] += sqlite.erase(state / private_sessions.PRIVATE_SESSIONS_FILE, "user_id", keys)
    return erased


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
    """Blank the users' lines of a file: those with their `user_id`, and invalid lines that contain it as a JSON string.

    A line that is being appended is not touched unless it contains one of the users.

    Returns:
        The number of lines per user.
    """
    spellings = {user: _spellings(user) for user in user_ids}
    erased: Counter[str] = Counter()
    with path.open("rb+", buffering=0) as file:
        offset = 0
        with path.open("rb") as lines:
            for line in lines:
                text = line.rstrip(b"\n")
                if text.startswith(ERASED_PREFIX):
                    if text.strip():
                        _overwrite_with_blanks(file.fileno(), offset, len(text))
                elif (user := _user_of(text, spellings)) is not None:
                    _overwrite_with_blanks(file.fileno(), offset, len(text))
                    erased[user] += 1
                offset += len(line)
        os.fsync(file.fileno())
    return erased


def wait_for_acknowledgement(file: Path, state: Path, timeout_s: float) -> None:
    """Wait until no service is running or the running service has acknowledged the suppression list.

    Args:
        file: The suppression list.
        state: Folder of the service's state.
        timeout_s: Maximum time to wait, seconds.

    Raises:
        SuppressionNotAcknowledged: The service has not acknowledged it within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (process := lock_holder(state / write_ahead_log.LOCK_FILE)) is not None and read_acknowledgement(
        state
    ) != suppression_list.content_digest(suppression_list.read_content(file)):
        if time.monotonic() > deadline:
            raise SuppressionNotAcknowledged(
                f"process {process} runs the recommender and has not acknowledged {file} within {timeout_s:.0f} s; stop it "
                "(make stop), run this again, then start it (make serve)"
            )
        time.sleep(0.1)


def _erase_from_logs(user_ids: Sequence[str], folder: Path, prefix: str) -> Counter[str]:
    erased: Counter[str] = Counter()
    for path in daily_files.list_files(folder, prefix):
        erased += erase_lines(path, user_ids)
    return erased


def _spellings(user_id: str) -> tuple[bytes, ...]:
    """Encodings of the id as a JSON string, with non-ASCII characters escaped and unescaped."""
    texts = {json.dumps(user_id), json.dumps(user_id, ensure_ascii=False)}
    return tuple(text.encode("utf-8", "surrogatepass") for text in sorted(texts))


def _user_of(line: bytes, spellings: dict[str, tuple[bytes, ...]]) -> str | None:
    mentioned = [user for user, texts in spellings.items() if any(text in line for text in texts)]
    if not mentioned:
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return mentioned[0]
    user_id = row.get("user_id") if isinstance(row, dict) else None
    return user_id if user_id in mentioned else None


def _overwrite_with_blanks(descriptor: int, offset: int, length: int) -> None:
    written = 0
    while written < length:
        written += os.pwrite(descriptor, b" " * (length - written), offset + written)
