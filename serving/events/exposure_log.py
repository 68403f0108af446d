"""Exposure log: one record per response, which ingestion lands as impressions and as rows of the table of exposures.

Records are written immediately and synced every second: a killed process loses none, a machine failure at most one second
of records. Files: `live/dt=<day>/exposures-*.jsonl`. Independent of HTTP.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.events.daily_jsonl import DailyJsonlFile
from serving.observability.periodic_task import PeriodicTask
from serving.pipeline.request import Request
from serving.pipeline.response import ResponseItem
from storage import daily_files
from training.data.user_batch import UserBatch

EXPOSURE_LOG_PREFIX = "exposures"
SYNC_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Exposure:
    """A response as it was shown: request, release, hash of the features, and items in order."""

    request: Request
    release: str
    features_hash: str
    items: Sequence[ResponseItem]

    def to_line(self) -> bytes:
        """The record as a JSON line: `shown_at` in µs UTC, positions from 0; items of another release name it."""
        request = self.request
        record = {
            "request_id": request.request_id,
            "user_id": request.user_id,
            "scene": request.scene.name,
            "shown_at": request.at_us,
            "release": self.release,
            "arm": request.arm or self.release,
            "features_hash": self.features_hash,
            "items": [
                {
                    "target_type": item.target[0],
                    "target_id": item.target[1],
                    "position": position,
                    "channels": item.channels,
                    "propensity": item.propensity,
                    "is_exploration": item.is_exploration,
                }
                | ({"release": item.release} if item.release not in ("", self.release) else {})
                for position, item in enumerate(self.items)
            ],
        }
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


class ExposureLog:
    """Appends records; thread-safe."""

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for path in daily_files.list_files(folder, EXPOSURE_LOG_PREFIX):
            daily_files.truncate_torn_line(path)
        self._file = DailyJsonlFile(folder, EXPOSURE_LOG_PREFIX, now_us)
        self._lock = threading.Lock()
        self._sync_task = PeriodicTask("exposures", SYNC_INTERVAL_S, self._sync)
        self._sync_task.start()

    def write(self, exposure: Exposure) -> None:
        """Append one record; nothing for a response without items.

        Raises:
            OSError: The write failed.
        """
        if exposure.items:
            line = exposure.to_line()
            with self._lock:
                self._file.append(line)

    def close(self) -> None:
        """Sync and close."""
        self._sync_task.close()
        with self._lock:
            self._file.close()

    def _sync(self) -> None:
        with self._lock:
            self._file.sync()


def hash_features(users: UserBatch) -> str:
    """Hash of the model inputs of one request (B = 1), independent of padding; 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, batch in sorted(users.views.items()):
        length = int(batch.length_B[0])
        for attribute, column_BL in sorted(batch.columns.items()):
            digest.update(f"{name}:{attribute}:{length}:".encode())
            digest.update(np.ascontiguousarray(column_BL[0, :length]).tobytes())
    for name, value_B in sorted(users.profile.items()):
        digest.update(f"{name}:".encode() + value_B.tobytes())
    return digest.hexdigest()
