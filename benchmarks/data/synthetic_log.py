"""Synthetic landing zone of any size, written day by day, fast enough that landing is not the bottleneck.

`DAYS` days on which a user has `EVENTS_PER_DAY` events on average, in one or two sessions; users and tracks grow with
the number of events, and the history of a user does not. Ids are as long and as random as real ones, track popularity
is 1 / rank. Preferences are not realistic: for that use `ingestion.simulate`, which generates a few thousand events per
second. Memory is bounded by a day. Shape letters: E events of a day, U users, V tracks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingestion import contract

FIRST_DAY = date(2026, 5, 1)
DAYS = 25
AS_OF = (FIRST_DAY + timedelta(days=DAYS)).isoformat()
EVENTS_PER_DAY = 20
EVENTS_PER_TRACK = 50
TRACKS_PER_ARTIST = 10
ACTIONS = ("play", "impression", "click", "like", "dislike")
ACTION_PROBABILITIES = (0.74, 0.18, 0.03, 0.04, 0.01)
PLAY_AFTER_IMPRESSION_RATE = 0.4
"""Share of impressions that are followed by a play of the shown track."""
LANDED_AT = datetime(2026, 5, 1, tzinfo=UTC)
ROWS_PER_FILE = 4_000_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LogSize:
    """Size of the log."""

    events: int
    days: int = DAYS
    has_all_lengths: bool = False  # otherwise every fifth track has no duration, as in real catalogs

    @property
    def users(self) -> int:
        """Number of users, U."""
        return max(1, self.events // (self.days * EVENTS_PER_DAY))

    @property
    def tracks(self) -> int:
        """Number of tracks, V; independent of the number of days."""
        return max(TRACKS_PER_ARTIST, self.events * DAYS // (self.days * EVENTS_PER_TRACK))


def write_landing_zone(home: Path, size: LogSize) -> int:
    """Write `home/landing` and return its number of events, `size.events` up to chance."""
    landing = home / "landing"
    for table, schema in contract.SCHEMAS.items():
        _write(schema.empty_table(), landing / table / "dt=1970-01-01" / "empty.parquet")
    _write(_tracks(size), landing / "tracks" / f"dt={FIRST_DAY}" / "made.parquet")
    _write(_artists(size), landing / "artists" / f"dt={FIRST_DAY}" / "made.parquet")
    users = pa.array([f"u{user:09d}" for user in range(size.users)])
    tracks = _numbered_ids("t", np.arange(size.tracks))
    # Ids are independent of popularity.
    track_of_rank = np.random.default_rng(0).permutation(size.tracks)
    written = 0
    for number in range(size.days):
        for begin in range(0, size.users, ROWS_PER_FILE // EVENTS_PER_DAY):
            end = min(begin + ROWS_PER_FILE // EVENTS_PER_DAY, size.users)
            random = np.random.default_rng((number, begin))
            rows = _make_day(random, number, begin, end, users, tracks, track_of_rank)
            day = FIRST_DAY + timedelta(days=number)
            _write(rows, landing / "listening_events" / f"dt={day}" / f"made-{begin:09d}.parquet")
            written += rows.num_rows
    return written


def _make_day(
    random: np.random.Generator,
    number: int,
    begin: int,
    end: int,
    users: pa.Array,
    tracks: pa.Array,
    track_of_rank: Ints,
) -> pa.Table:
    counts_U = random.poisson(EVENTS_PER_DAY, end - begin)
    total = int(counts_U.sum())
    user_E = np.repeat(np.arange(begin, end), counts_U)
    starts_U = np.cumsum(counts_U) - counts_U
    position_E = np.arange(total) - np.repeat(starts_U, counts_U)

    action_E = random.choice(len(ACTIONS), total, p=ACTION_PROBABILITIES).astype(np.int8)
    track_E = track_of_rank[_sample_ranks(random, total, len(track_of_rank))]
    is_shown_E = action_E == ACTIONS.index("impression")
    # An event directly after an impression of the same user is a play of the shown track.
    follows_E = np.r_[False, is_shown_E[:-1]] & (position_E > 0) & (random.random(total) < PLAY_AFTER_IMPRESSION_RATE)
    follows_E &= ~np.r_[False, follows_E[:-1]]
    action_E[follows_E] = ACTIONS.index("play")
    is_shown_E &= ~follows_E
    track_E[1:][follows_E[1:]] = track_E[:-1][follows_E[1:]]
    request_E = np.arange(total)
    request_E[follows_E] -= 1
    has_request_E = is_shown_E | follows_E
    is_play_E = action_E == ACTIONS.index("play")

    played_E = np.minimum(random.lognormal(11.6, 1.0, total), 300_000).astype(np.int64)
    # A session begins at a user's first event and, at random, once more.
    pause_E = np.where(is_play_E, played_E * 1_000, 2_000_000) + random.integers(0, 5_000_000, total)
    pause_E += np.where((position_E > 0) & (random.random(total) < 1 / EVENTS_PER_DAY), 3 * 3_600_000_000, 0)
    elapsed_E = np.cumsum(pause_E)
    began_U = random.integers(6 * 3_600, 12 * 3_600, end - begin) * 1_000_000
    offset_U = np.where(
        counts_U > 0, elapsed_E[np.minimum(starts_U, total - 1)] - pause_E[np.minimum(starts_U, total - 1)], 0
    )
    midnight = np.datetime64(FIRST_DAY + timedelta(days=number), "us").astype(np.int64)
    within_E = np.repeat(began_U - offset_U, counts_U) + elapsed_E
    # Cut at midnight: a partition holds the events of one day.
    ended_E = midnight + np.minimum(within_E, 86_399_000_000)
    arrays = {
        "user_id": users.take(pa.array(user_E)),
        "target_id": tracks.take(pa.array(track_E)),
        "action": _decode_names(action_E, ACTIONS),
        "request_id": _numbered_ids(f"q{number:02d}-{begin:09d}-", request_E, ~has_request_E),
        "event_id": _random_ids(random, total),
        "sequence_number": pa.array(number * 1_000 + position_E),
        "target_type": _decode_names(np.zeros(total, np.int8), ("track",)),
        "occurred_at": pa.array(ended_E - np.where(is_play_E, played_E * 1_000, 0)).cast(contract.TIME),
        "ended_at": pa.array(ended_E).cast(contract.TIME),
        "played_ms": pa.array(played_E, mask=~is_play_E),
        "scene": _decode_names(np.where(has_request_E, 0, 1).astype(np.int8), ("daily", "library")),
        "context_id": pa.nulls(total, pa.string()),
        "position": pa.array(random.integers(0, 30, total).astype(np.int32), mask=~has_request_E),
        "propensity": pa.array(np.ones(total), mask=~has_request_E),
        "device": _decode_names(random.integers(0, 3, total).astype(np.int8), ("phone", "desktop", "car")),
    }
    return pa.Table.from_arrays(
        [arrays[name] for name in contract.LISTENING_EVENTS.names], schema=contract.LISTENING_EVENTS
    )


def _sample_ranks(random: np.random.Generator, count: int, tracks: int) -> Ints:
    """Return ranks from 0 with probability 1 / (rank + 1), by the inverse of their continuous distribution."""
    return np.minimum(np.exp(random.random(count) * np.log(tracks + 1)).astype(np.int64) - 1, tracks - 1)


def _random_ids(random: np.random.Generator, count: int) -> pa.Array:
    text = random.bytes(16 * count).hex().encode()
    offsets = pa.py_buffer((np.arange(count + 1) * 32).astype(np.int32))
    return pa.StringArray.from_buffers(count, offsets, pa.py_buffer(text))


def _numbered_ids(prefix: str, number_E: Ints, missing_E: NDArray[np.bool_] | None = None) -> pa.Array:
    text = pa.array(number_E, mask=missing_E).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar(prefix), text, "")


def _decode_names(codes: NDArray[np.int8], names: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)).cast(pa.string())


def _tracks(size: LogSize) -> pa.Table:
    random = np.random.default_rng(1)
    count = size.tracks
    artist = pa.array([f"a{track // TRACKS_PER_ARTIST}" for track in range(count)])
    lists = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32)), artist)
    number = _numbered_ids("", np.arange(count))
    arrays = {
        "track_id": _numbered_ids("t", np.arange(count)),
        "title": pc.binary_join_element_wise("Song", number, " "),
        "artist_ids": lists,
        "album_id": _numbered_ids("b", np.arange(count) // TRACKS_PER_ARTIST),
        "duration_ms": pa.array(
            random.integers(120_000, 360_000, count), mask=(np.arange(count) % 5 == 0) & (not size.has_all_lengths)
        ),
        "landed_at": pa.array([LANDED_AT] * count, contract.TIME),
    }
    kinds = [(field.name, field.type) for field in contract.TRACKS]
    columns = [arrays[name].cast(kind) if name in arrays else pa.nulls(count, kind) for name, kind in kinds]
    return pa.Table.from_arrays(columns, schema=contract.TRACKS)


def _artists(size: LogSize) -> pa.Table:
    number = np.arange(-(-size.tracks // TRACKS_PER_ARTIST))
    landed_at = pa.array([LANDED_AT] * len(number), contract.TIME)
    columns = {"artist_id": _numbered_ids("a", number), "name": _numbered_ids("Artist ", number)}
    columns |= {"format": pa.nulls(len(number), pa.string()), "source_at": landed_at, "landed_at": landed_at}
    return pa.table(columns, schema=contract.ARTISTS)


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", compression_level=1)
