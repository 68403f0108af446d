"""Sessions and requests of the marts equal those that models derive from sequences, on random logs."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np

from sequences.behaviours import load_behaviours
from sequences.sequence_batch import SequenceBatch
from sequences.sessions import is_in_current_session, sessionize
from tests.support.landing_zone import built, event, write, write_empty_tables

USERS, EVENTS = 300, 12


def random_log(random: Random) -> list[dict[str, Any]]:
    """Plays, likes and skips with pauses around the gap; some plays were paused themselves, some end together."""
    rows: list[dict[str, Any]] = []
    for user in range(USERS):
        minute = random.uniform(0, 1_000)
        for number in range(random.randint(2, EVENTS)):
            minute += random.choice([0.05, 4, random.uniform(20, 50), random.uniform(28, 42), 30, 120])
            action = random.choice(["play", "play", "play", "like"])
            played_ms = random.choice([1_000, 25_000, 180_000]) if action == "play" else None
            paused = random.choice([0] * 8 + [20] * 4 + [24 * 60 + 30]) if action == "play" else 0
            began, minute = minute, minute + (played_ms or 0) / 60_000 + paused
            row = event(f"e{user}-{number}", f"u{user}", action, "1", minute, played_ms=played_ms)
            row |= {"sequence_number": number, "occurred_at": row["ended_at"] - timedelta(minutes=minute - began)}
            rows.append(row)
            if action == "play" and paused < 60 and random.random() < 0.1:
                rows.append(row | {"event_id": f"{row['event_id']}-tied"})
    return rows


def test_sessions_of_marts_and_sequences_are_equal(tmp_path: Path) -> None:
    write_empty_tables(tmp_path)
    write(tmp_path, "listening_events", "2026-06-01", "a", random_log(Random(7)))
    built(tmp_path)
    code = load_behaviours().encoder
    found = duckdb.sql(f"""
        select user_id, list(behaviour order by event_number) as behaviour,
            list(epoch_us(occurred_at) order by event_number) as occurred_at,
            list(epoch_us(ended_at) order by event_number) as ended_at,
            list(epoch_us(request_at) order by event_number) as request_at,
            list(session_id order by event_number) as session_id
        from '{tmp_path}/marts/events.parquet' group by user_id
    """).fetchall()
    assert len(found) == USERS
    is_longer = []
    for _, behaviour, occurred_at, ended_at, request_at, session_id in found:
        columns = {"behaviour": [code[name] for name in behaviour], "occurred_at": occurred_at, "ended_at": ended_at}
        L = len(behaviour)
        batch = SequenceBatch({name: np.array([values]) for name, values in columns.items()}, np.array([L]))
        plays = [place for place in range(L) if session_id[place]]
        derived = sessionize(batch)[0]
        for previous, place in pairwise(plays):
            is_same = session_id[previous] == session_id[place]
            assert (derived[previous] == derived[place]) == is_same
            current = is_in_current_session(batch, np.array([place]), np.array([request_at[place]]))
            assert current[0, previous] == is_same
            is_longer.append(not is_same and occurred_at[place] - ended_at[previous] < 40 * 60_000_000)
    assert sum(is_longer) > 50, "pauses of 30 to 40 minutes"


def test_the_future_changes_no_earlier_row(tmp_path: Path) -> None:
    """What a case reads was known before it: other later events give the same rows of earlier ones."""
    log, other = random_log(Random(7)), random_log(Random(8))
    middle = sorted(row["ended_at"] for row in log)[len(log) * 4 // 5]
    earlier = [row for row in log if row["ended_at"] < middle]
    later = [row | {"event_id": f"other-{row['event_id']}"} for row in other if row["ended_at"] >= middle]
    # Its length is not estimated, which depends on all plays.
    track = {"track_id": "1", "title": "1", "artist_ids": ["a"], "duration_ms": 180_000}
    known = f"known_at < timestamp '{middle:%Y-%m-%d %H:%M:%S.%f}' order by all"
    rows = []
    for name, events in (("first", log), ("second", [*earlier, *later])):
        marts = tmp_path / name / "marts"
        write_empty_tables(tmp_path / name)
        write(tmp_path / name, "tracks", "2026-06-01", "a", [track])
        write(tmp_path / name, "listening_events", "2026-06-01", "a", events)
        built(tmp_path / name)
        queries = [f"from '{marts}/{mart}.parquet' where {known}" for mart in ("events", "user_profiles")]
        queries += [f"select * exclude (part) from '{marts}/plays.parquet' where {known}"]
        rows.append([duckdb.sql(query).fetchall() for query in queries])
    assert rows[0] == rows[1] and all(rows[0])
