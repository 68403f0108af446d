"""Daily lists shown to users: today's list is stable, and tracks of recent lists are excluded from it.

Exposure records contain neither channels nor reasons, and finding one user's records would require reading a week of all
users' records at every start. So lists are rows of a SQLite file: they survive a restart, use no memory, and are deleted when
no list needs them. They survive a killed process; a machine failure may lose the latest lists, which are then generated
again. Independent of models or HTTP.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from serving.sqlite_file import open_database

DAY_US = 86_400_000_000
DAILY_LISTS_FILE = "daily_lists.sqlite"
LOCK_STRIPES = 64

TABLE = """
create table if not exists daily_lists (
    user_id text, day integer, discovery text, tracks text not null, primary key (user_id, day, discovery)
) without rowid
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedTrack:
    """One track of a list, as it was shown."""

    track_id: str
    score: float
    channels: list[str]
    place: int  # in the list, from 0; a track that takes the place of a disliked one shares it
    propensity: float = 1.0  # probability of an explored track, otherwise 1
    release: str = ""  # release that chose the track
    is_new: bool = False  # the user had not played it when it was listed


FIELDS = tuple(one.name for one in fields(ListedTrack))


@dataclass(frozen=True)
class DailyListHistory:
    """Lists of one user: `today`, best first, and the tracks of recent previous days."""

    today: list[ListedTrack] = field(default_factory=list)
    recent_track_ids: frozenset[str] = frozenset()


class DailyLists:
    """Reads and writes daily lists; thread-safe.

    Days are UTC. Each value of `discovery`, to two decimals, has its own list. A damaged file is replaced by an empty one.

    Args:
        folder: Folder of the SQLite file.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._user_locks = [threading.Lock() for _ in range(LOCK_STRIPES)]
        self._last_cleanup_day = 0
        self._database, _ = open_database(folder / DAILY_LISTS_FILE, ("pragma synchronous = normal", TABLE))

    def user_lock(self, user_id: str) -> threading.Lock:
        """Lock to hold from reading to writing, so that concurrent requests of a user get the same list."""
        return self._user_locks[zlib.crc32(user_id.encode()) % LOCK_STRIPES]

    def read(self, user_id: str, at_us: int, discovery: float | None, days: int) -> DailyListHistory:
        """The list of the day of `at_us`, and the tracks of all lists of the `days` before it, without damaged lists.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        today, key = at_us // DAY_US, _discovery_key(discovery)
        query = "select day, discovery, tracks from daily_lists where user_id = ? and day between ? and ?"
        with self._lock:
            rows = self._database.execute(query, (user_id, today - days, today)).fetchall()
        lists = []
        for day, name, text in rows:
            try:
                lists.append((day, name, _decode_tracks(text)))
            except (ValueError, TypeError, KeyError):
                logger.exception("the daily list of a user of day %s cannot be decoded; it is left out", day)
        return DailyListHistory(
            today=next((tracks for day, name, tracks in lists if (day, name) == (today, key)), []),
            recent_track_ids=frozenset(track.track_id for day, _, tracks in lists if day < today for track in tracks),
        )

    def write(
        self, user_id: str, at_us: int, discovery: float | None, tracks: Sequence[ListedTrack], days: int
    ) -> None:
        """Replace the list of the day of `at_us`. Once per day, delete lists older than `days`.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        day, text = at_us // DAY_US, _encode_tracks(tracks)
        with self._lock, self._database:
            if day > self._last_cleanup_day:
                self._database.execute("delete from daily_lists where day < ?", (day - days,))
                self._last_cleanup_day = day
            row = (user_id, day, _discovery_key(discovery), text)
            self._database.execute("insert or replace into daily_lists values (?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _encode_tracks(tracks: Sequence[ListedTrack]) -> str:
    return json.dumps([vars(track) for track in tracks], separators=(",", ":"))


def _decode_tracks(text: str) -> list[ListedTrack]:
    # Another version may have written other fields, an earlier one no places.
    return [
        ListedTrack(**{name: row[name] for name in FIELDS if name in row} | {"place": int(row.get("place", place))})
        for place, row in enumerate(json.loads(text))
    ]


def _discovery_key(discovery: float | None) -> str:
    return "" if discovery is None else f"{discovery:.2f}"
