"""Marts of handmade data compared with an oracle that processes one event at a time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.landing_zone import at, built, event, write, write_empty_tables

MICROSECOND = timedelta(microseconds=1)
CLOCK_GRANULARITY = timedelta(minutes=10)
AUDIO_PATH = "0123456789abcdef:audio/1.ogg"


def world() -> list[dict[str, Any]]:
    """Ties, a duplicate, unknown lengths, impressions with each outcome; no likes."""
    return [
        event("a", "u", "play", "1", 60, played_ms=180_000, sequence_number=1),
        event("b", "u", "play", "2", 60, played_ms=20_000, sequence_number=2),
        event("b", "u", "play", "2", 60, played_ms=20_000, sequence_number=2),
        event("c", "u", "collect", "1", 60, sequence_number=3),
        event("d", "u", "play", "1", 63, played_ms=90_000, sequence_number=4),
        event("e", "u", "play", "3", 110, played_ms=60_000, sequence_number=5),
        event("f", "v", "play", "1", 61.5, played_ms=180_000, sequence_number=1, request_id="q"),
        event("g", "v", "block", "9", 62, sequence_number=2, target_type="artist"),
        event("h", "v", "impression", "1", 58, request_id="q"),
        event("i", "v", "impression", "2", 58, request_id="q"),
        event("tomorrow", "v", "play", "1", 60 * 24 * 9, played_ms=1),
    ]


def bot() -> list[dict[str, Any]]:
    """One click more within a minute than `bot_actions_per_minute` allows."""
    return [event(f"bot{n}", "bot", "click", "1", 61 + n / 2_000, sequence_number=n) for n in range(1_001)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("marts")
    write_empty_tables(home)
    write(home, "listening_events", "2026-06-01", "a", world())
    write(home, "listening_events", "2026-06-01", "bot", bot())
    write(home, "listening_events", "2026-06-05", "late", world()[:1])
    tracks = [
        {
            "track_id": "1",
            "title": "One",
            "artist_ids": ["x"],
            "duration_ms": 200_000,
            "audio_vector": [0.5, 1.0],
            "audio_url": "audio/1.ogg",
            "audio_path": AUDIO_PATH,
            "cover_path": "cover.jpg",
        },
        {"track_id": "2", "title": "Two", "artist_ids": ["y", "x"], "lyrics": "la la"},
    ]
    write(home, "tracks", "2026-06-01", "a", tracks)
    write(home, "tracks", "2026-06-02", "b", [tracks[0] | {"title": "Uno", "landed_at": at(60 * 24 * 8.5)}])
    write(home, "artists", "2026-06-01", "a", [{"artist_id": "x", "name": "Ｅｘ"}, {"artist_id": "y", "name": "Why"}])
    triples = [{"head": "artist_name:EX", "relation": "has_genre", "tail": "genre:folk"}]
    write(home, "knowledge_triples", "2026-06-01", "a", triples)
    comment = {"comment_id": "c", "track_id": "1", "text": "fine", "occurred_at": at(5)}
    write(
        home,
        "track_comments",
        "2026-06-01",
        "a",
        [comment, comment | {"comment_id": "d", "occurred_at": at(60 * 24 * 9)}],
    )
    write(home, "track_comments", "2026-06-02", "b", [comment | {"text": "finer", "landed_at": at(60 * 24 * 8.5)}])
    shown = {"request_id": "q", "user_id": "v", "scene": "daily", "shown_at": at(58), "release": "r", "arm": "r"}
    shown |= {"target_type": "track", "propensity": 1.0, "is_exploration": False}
    given = [{"event_id": "h", "target_id": "1", "position": 0, "channels": ["popularity", "realtime"]}]
    given += [{"event_id": "i", "target_id": "2", "position": 1, "channels": []}] * 2
    given += [{"event_id": "j", "target_id": "2", "position": 1, "channels": [], "user_id": "bot"}]
    write(home, "exposures", "2026-06-01", "a", [shown | one for one in given])
    pooled = {"landing_id": "l", "format": "play_log", "source": "logs", "split": "user_time"}
    counts = {"read": 1, "landed": 1, "duplicate": 0, "quarantined": 0}
    write(home, "landings", "2026-06-01", "a", [pooled | counts])
    built(home, tests=True)
    return home


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    return duckdb.sql(query.format(marts=home / "marts")).fetchall()


DAY_8 = at(60 * 24 * 8).replace(tzinfo=None)
TRACK_COLUMNS = (
    "track_id, title, artist_names, duration_ms, lyrics, audio_vector, image_vector, audio_url, audio_path, cover_path"
)
EXPECTED: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "columns of an empty mart": (
        "select column_name from (describe select * from '{marts}/likes.parquet')",
        [("user_id",), ("target_type",), ("target_id",), ("liked_at",)],
    ),
    "no likes": ("select * from '{marts}/likes.parquet'", []),
    "events are unique behaviors ordered by known_at": (
        "select user_id, event_id, event_number, behavior from '{marts}/events.parquet'",
        [
            ("u", "a", 0, "full_play"),
            ("u", "b", 1, "skip"),
            ("u", "c", 2, "collect"),
            ("u", "d", 3, "play"),
            ("u", "e", 4, "full_play"),
            ("v", "f", 0, "full_play"),
            ("v", "g", 1, "block"),
            ("v", "i", 2, "impression_without_click"),
        ],
    ),
    "sessions": (
        "select session_id, plays, first_play_number from '{marts}/sessions.parquet' order by 1",
        [("u-1", 3, 0), ("u-2", 1, 3), ("v-1", 1, 0)],
    ),
    "impressions have outcomes": (
        "select event_id, is_played, is_full_play, is_clicked from '{marts}/impressions.parquet'",
        [("h", True, True, False), ("i", False, False, False)],
    ),
    "exposures have outcomes": (
        "select event_id, is_played, is_full_play, is_settled from '{marts}/exposures.parquet'",
        [("h", True, True, True), ("i", False, False, True)],
    ),
    "exposures are counted by channel": (
        "select channel, exposures, plays, finish_rate, likes_per_1000 from '{marts}/online_metrics.parquet'",
        [
            ("all", 2, 1, 1.0, 0.0),
            ("none", 1, 0, None, 0.0),
            ("popularity", 1, 1, 1.0, 0.0),
            ("realtime", 1, 1, 1.0, 0.0),
        ],
    ),
    "tracks have their newest row and include tracks outside the catalog": (
        f"select {TRACK_COLUMNS} from '{{marts}}/tracks.parquet'",
        [
            ("1", "Uno", ["Ｅｘ"], 200_000, None, [0.5, 1.0], None, "audio/1.ogg", AUDIO_PATH, "cover.jpg"),
            ("2", "Two", ["Why", "Ｅｘ"], 20_000, "la la", None, None, None, None, None),
            ("3", None, [], 60_000, None, None, None, None, None, None),
        ],
    ),
    "comments are before as_of": (
        "select * from '{marts}/track_comments.parquet'",
        [("c", "1", "finer", at(5).replace(tzinfo=None))],
    ),
    "landings have no file names": (
        "select * from '{marts}/landings.parquet'",
        [("l", "play_log", "user_time", 1, 0, None, None, DAY_8)],
    ),
    "artists have the genres of their normalized name": (
        "select * from '{marts}/artists.parquet'",
        [("x", "Ｅｘ", ["folk"]), ("y", "Why", [])],
    ),
}


@pytest.mark.parametrize(("query", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_marts_have_these_rows(home: Path, query: str, expected: list[tuple[Any, ...]]) -> None:
    assert rows(home, query) == expected


def test_request_times_equal_the_oracle(home: Path) -> None:
    found = rows(home, "select user_id, ended_at, played_ms, known_at, request_at from '{marts}/plays.parquet'")
    before: dict[str, tuple[datetime, datetime]] = {}
    for user, ended_at, played_ms, known_at, request_at in found:
        start = ended_at - timedelta(seconds=played_ms // 1000)
        clock = start - timedelta(minutes=start.minute % 10, seconds=start.second)
        if user in before:
            previous_end, previous_known = before[user]
            clock = previous_end if start - previous_end < CLOCK_GRANULARITY else clock
            clock = max(clock, previous_known + MICROSECOND)
        assert request_at == min(clock, known_at - MICROSECOND)
        before[user] = (ended_at, known_at)


def test_a_bot_is_only_in_the_mart_of_excluded_users(home: Path) -> None:
    assert rows(home, "select * from '{marts}/excluded_user_days.parquet'") == [
        ("bot", date(2026, 6, 1), "actions_per_minute", 1_001, 1_001)
    ]
    for mart in sorted((home / "marts").glob("*.parquet")):
        columns = {row[0] for row in rows(home, f"describe select * from '{mart}'")}
        if "user_id" in columns and mart.stem != "excluded_user_days":
            assert rows(home, f"select * from '{mart}' where user_id = 'bot'") == [], mart.name
