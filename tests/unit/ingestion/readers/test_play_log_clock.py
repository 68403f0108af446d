"""Start timestamps of a play log compared with a slow oracle."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import polars as pl

from ingestion.land import land
from tests.support.log_sources import landed, play_log

SECOND = 1_000_000


def oracle(rows: list[tuple[str, int, str, int]]) -> list[tuple[str, int, int, str, int, int]]:
    """(user, sequence_number, ended_at, track, played_ms, occurred_at) of each play in µs, computed in a plain loop."""
    plays_of_user: dict[str, list[tuple[int, int, str, int]]] = defaultdict(list)
    for row, (user, ts, track, played_ms) in enumerate(rows):
        plays_of_user[user].append((ts, row, track, played_ms))
    expected = []
    for user, plays in plays_of_user.items():
        previous = None
        for number, (ts, _, track, played_ms) in enumerate(sorted(plays)):
            start = ts - played_ms // 1000
            occurred = previous if previous is not None and start - previous < 600 else start // 600 * 600
            expected.append((user, number, ts * SECOND, track, played_ms, occurred * SECOND))
            previous = ts
    return sorted(expected)


def test_clock_order_and_repeats_follow_the_oracle(tmp_path: Path) -> None:
    random.seed(3)
    rows, now = [], 1_600_000_000
    for _ in range(600):
        now += random.choice([0, 0, 60, 60, 240, 660, 4_000, 100_000])
        rows.append(
            (str(random.randint(1, 3)), now, str(random.randint(1, 5)), random.choice([0, 1_999, 30_000, 200_000]))
        )
    rows += rows[:40]  # identical rows are real repeats
    play_log(tmp_path / "log", [f"{user},{ts},{track},1,{ms}" for user, ts, track, ms in rows])
    land(tmp_path / "log", tmp_path / "home")
    events = landed(tmp_path / "home")
    found = events.select(
        "user_id",
        "sequence_number",
        pl.col("ended_at").dt.timestamp("us"),
        "target_id",
        "played_ms",
        pl.col("occurred_at").dt.timestamp("us"),
    )
    assert sorted(found.rows()) == oracle(rows)
    assert events["event_id"].n_unique() == len(rows)


def test_event_ids_do_not_depend_on_the_order_of_other_rows(tmp_path: Path) -> None:
    rows = ["1,1600000000,1,1,5000", "1,1600000060,2,1,5000", "2,1600000000,1,1,5000"]
    land(play_log(tmp_path / "a", rows), tmp_path / "one")
    land(play_log(tmp_path / "b", rows[::-1]), tmp_path / "two")
    assert set(landed(tmp_path / "one")["event_id"]) == set(landed(tmp_path / "two")["event_id"])
