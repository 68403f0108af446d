"""Feature log: the features of sampled requests, for the skew check `python -m sequences.skew`.

Files `SEGUE_HOME/requests/dt=<day>/requests-*.jsonl` contain ids, times and features. Requests are sampled by a hash of their
id. Its size is limited per hour, so that every hour is sampled; `local.retention` removes old days. Requests do not fail because
of the log. Independent of HTTP.
"""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sequences.skew.feature_log import FEATURE_LOG_PREFIX, LoggedRequest, LogPosition, nan_to_none
from serving.pipeline.request import Request

MAX_BYTES_PER_HOUR = 8 << 20
HOUR_US = 3_600_000_000

logger = logging.getLogger(__name__)


class FeatureLog:
    """Writes sampled requests; thread-safe.

    Args:
        folder: `SEGUE_HOME/requests`.
        share: Fraction of the requests, 0 to 1.
        now_us: Clock, µs UTC.
        max_bytes_per_hour: Limit of the log's size.
    """

    def __init__(
        self,
        folder: Path,
        share: float,
        now_us: Callable[[], int],
        max_bytes_per_hour: int = MAX_BYTES_PER_HOUR,
    ) -> None:
        self._folder, self._sampling_rate, self._now_us = folder, share, now_us
        self._max_bytes_per_hour = max_bytes_per_hour
        self._hour, self._written = -1, 0
        self._name = f"{FEATURE_LOG_PREFIX}-{now_us():017d}-{os.getpid()}.jsonl"
        self._erased: Container[str] = ()
        self._lock = threading.Lock()

    def is_sampled(self, request: Request) -> bool:
        """Whether the request is sampled; False once the log of this hour is full."""
        if self._written >= self._max_bytes_per_hour and self._hour == self._now_us() // HOUR_US:
            return False
        return zlib.crc32(request.request_id.encode()) < self._sampling_rate * (1 << 32)

    def write(
        self,
        request: Request,
        release: str,
        applied: LogPosition | None,
        views: Mapping[str, Mapping[str, Sequence[Any]]] | None,
        profile: Mapping[str, float | None],
        rows: tuple[str, int] | None,
    ) -> None:
        """Log the features of a request; `views` is None if the store failed. For `applied` and `rows` see `LoggedRequest`."""
        logged = LoggedRequest(
            request_id=request.request_id,
            user_id=request.user_id,
            at_us=request.at_us,
            release=release,
            applied=applied,
            views={
                view: {name: nan_to_none(name, values) for name, values in attributes.items()}
                for view, attributes in (views or {}).items()
            },
            profile=dict(profile),
            rows=rows,
        )
        try:
            with self._lock:
                if request.user_id not in self._erased:
                    self._append(logged.to_line())
        except Exception:
            logger.exception("request %s could not be written to the feature log", request.request_id)

    def erase_users(self, users: Container[str]) -> None:
        """Write nothing of these users from now on."""
        with self._lock:
            self._erased = users

    def _append(self, line: bytes) -> None:
        now_us = self._now_us()
        hour = now_us // HOUR_US
        if hour != self._hour:
            self._hour, self._written = hour, 0
        if self._written >= self._max_bytes_per_hour:
            return
        file = self._folder / f"dt={datetime.fromtimestamp(now_us / 1e6, tz=UTC):%Y-%m-%d}" / self._name
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640), "ab") as log:
            log.write(line)
        self._written += len(line)
