"""Behaviors, sessions and reversals of the marts equal those that requests and models derive, on random logs."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np

from sequences.behaviors import load_behaviors, played_ratio
from sequences.sequence_batch import FIRST_CODE, SequenceBatch, drop_reversed
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
    code = load_behaviors().encoder
    found = duckdb.sql(f"""
        select user_id, list(behavior order by event_number) as behavior,
            list(epoch_us(occurred_at) order by event_number) as occurred_at,
            list(epoch_us(ended_at) order by event_number) as ended_at,
            list(epoch_us(request_at) order by event_number) as request_at,
            list(session_id order by event_number) as session_id
        from '{tmp_path}/marts/events.parquet' group by user_id
    """).fetchall()
    assert len(found) == USERS
    is_longer = []
    for _, behavior, occurred_at, ended_at, request_at, session_id in found:
        columns = {"behavior": [code[name] for name in behavior], "occurred_at": occurred_at, "ended_at": ended_at}
        L = len(behavior)
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


def test_behaviors_and_likes_of_marts_and_requests_are_equal(tmp_path: Path) -> None:
    random = Random(9)
    durations = {"1": 180_000, "2": 31_000, "3": None}
    log = [
        event(f"e{number}", f"u{random.randrange(40)}", action, random.choice("123"), number, sequence_number=number)
        | {"played_ms": random.choice([0, 29_999, 30_000, 162_000, 200_000]) if action == "play" else None}
        for number, action in enumerate(random.choices(["play", "like", "unlike", "dislike", "undislike"], k=800))
    ]
    write_empty_tables(tmp_path)
    tracks = [
        {"track_id": track, "title": track, "artist_ids": ["a"], "duration_ms": ms} for track, ms in durations.items()
    ]
    write(tmp_path, "tracks", "2026-06-01", "a", tracks)
    write(tmp_path, "listening_events", "2026-06-01", "a", log)
    built(tmp_path)

    events = duckdb.sql(f"""
        select user_id, track_id, behavior, action, played_ms, events.played_ratio, tracks.duration_ms
        from '{tmp_path}/marts/events.parquet' as events join '{tmp_path}/marts/tracks.parquet' as tracks using (track_id)
        order by user_id, event_number
    """).fetchall()
    assert len(events) == len(log)
    code, liked = load_behaviors().encoder, set()
    rows_of_user: dict[str, list[tuple[int, int]]] = {}
    for user, track, behavior, action, played_ms, ratio, duration_ms in events:
        assert behavior == load_behaviors().behavior_of(action, played_ms, duration_ms)
        assert ratio == (None if (exact := played_ratio(played_ms, duration_ms)) is None else float(np.float32(exact)))
        rows_of_user.setdefault(user, []).append((code[behavior], FIRST_CODE + int(track)))
    for user, rows in rows_of_user.items():
        behavior_L, track_L = np.array(rows).T
        batch = SequenceBatch({"behavior": behavior_L[None], "track_id": track_L[None]}, np.array([len(rows)]))
        left = drop_reversed(batch).columns
        is_like_L = left["behavior"][0] == code["like"]
        liked |= {(user, str(track - FIRST_CODE)) for track in left["track_id"][0][is_like_L].tolist()}
    assert {behavior for _, _, behavior, *_ in events} >= {"skip", "play", "full_play"}
    assert liked == set(duckdb.sql(f"select user_id, target_id from '{tmp_path}/marts/likes.parquet'").fetchall())


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
