"""What the service showed: one impression event a track, in the contract, beside the reported events.

Written at once and synced every second: a killed process loses nothing, a lost machine at most a second of impressions.
`live/dt=<day>/exposures-*.jsonl`. Knows nothing about HTTP.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from serving import daily_file
from serving.daily_file import DailyFile
from serving.request import Request

NAME = "exposures"
SYNC_EVERY_S = 1.0


class Exposures:
    """Appends impressions; thread-safe."""

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for path in daily_file.files(folder, NAME):
            daily_file.repair(path)
        self._file = DailyFile(folder, NAME, now_us)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sync_forever, name="exposures", daemon=True)
        self._thread.start()

    def write(self, request: Request, track_ids: Sequence[str]) -> None:
        """One impression a track, positions from 0 in the order shown."""
        lines = b"".join(_line(request, position, track) for position, track in enumerate(track_ids))
        if lines:
            with self._lock:
                self._file.append(lines)

    def close(self) -> None:
        """Sync and close."""
        self._stop.set()
        self._thread.join()
        with self._lock:
            self._file.close()

    def _sync_forever(self) -> None:
        while not self._stop.wait(SYNC_EVERY_S):
            with self._lock:
                self._file.sync()


def _line(request: Request, position: int, track_id: str) -> bytes:
    impression = {
        "event_id": f"{request.request_id}-{position}",
        "user_id": request.user_id,
        "sequence_number": position,
        "target_type": "track",
        "target_id": track_id,
        "occurred_at": request.at_us,
        "ended_at": request.at_us,
        "action": "impression",
        "scene": request.scene.name,
        "request_id": request.request_id,
        "position": position,
    }
    return json.dumps(impression, separators=(",", ":")).encode() + b"\n"
