"""Point-in-time sequences: Segue's offline store compared with Feast's own DuckDB store, unmodified.

Feast has no sequences, so it reads a table with one list-valued row per event; building that table is not counted. Both
return the same rows for the same users and times through the same call, and the run checks that they agree. Each result
is computed in its own process, whose peak memory is read from the kernel. Results of `run(rows)`:

    pit_join, pit_join_memory             `rows` entity rows × ten times as many events × 50, `to_arrow()`
    pit_join_2m, pit_join_2m_memory       Segue alone, ten times as many entity rows, streamed to Parquet
    pit_join_scaling                      exponent of Segue's time between the two, both streamed to Parquet
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.data_format import ParquetFormat
from feast.types import Array, String
from feast.value_type import ValueType

from research.result import Result, result_with_limit
from sequences.sequence_views import SEQUENCE_TAG, SEQUENCE_VIEWS
from training.process import peak_bytes

TRACKS, LENGTH = 5_000, 50
EVENTS_PER_USER = 100
"""Small, in favor of Feast: it joins each row with all earlier rows of its user, and with 2,000 events per user it ran
out of memory on a machine with 23 GiB.
"""
TRIES = 3
MIB = 2**20
PEER = "Feast's DuckDB offline store"
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)


def run(rows: int) -> list[Result]:
    """Return all results, for `rows` entity rows over ten times as many events."""
    with tempfile.TemporaryDirectory() as folder:
        _run_subprocess("make", folder, rows)
        pairs = [(_run_subprocess("ours", folder, rows), _run_subprocess("feast", folder, rows)) for _ in range(TRIES)]
        streamed = [
            (_run_subprocess("streamed", folder, rows), _run_subprocess("streamed", folder, 10 * rows))
            for _ in range(TRIES)
        ]
    answers = {side["answer"] for pair in pairs for side in pair}
    assert len(answers) == 1, "the two stores disagree"
    seconds, peer_seconds = (min(pair[side]["seconds"] for pair in pairs) for side in (0, 1))
    memory, peer_memory = (float(np.median([pair[side]["memory"] for pair in pairs])) for side in (0, 1))
    small, large = (min(pair[side]["seconds"] for pair in streamed) for side in (0, 1))
    return [
        Result.from_values("pit_join", "entity rows/s", rows / seconds, PEER, rows / peer_seconds),
        Result.from_values("pit_join_memory", "MiB", memory / MIB, PEER, peer_memory / MIB, lower_is_better=True),
        Result.from_values("pit_join_2m", "s", large),
        result_with_limit("pit_join_2m_memory", "MiB", max(pair[1]["memory"] for pair in streamed) / MIB, 3 * 1024),
        result_with_limit("pit_join_scaling", "exponent", math.log10(large / small), 1.1),
    ]


def _run_subprocess(what: str, folder: str, rows: int) -> Any:
    command = [sys.executable, "-m", "research.data.point_in_time_join", what, folder, str(rows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _make_data(folder: Path, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    events = _make_events(random, rows * 10)
    pq.write_table(events, folder / "events.parquet")
    _write_lists(events, folder / "lists.parquet")
    for count in (rows, 10 * rows):
        # Strictly between two events, so that "before" and "up to" are the same; unordered.
        entities = events.select(["user_id", "known_at"]).take(random.integers(0, events.num_rows, count))
        times = pc.add(entities["known_at"].cast(pa.int64()), 1).cast(pa.timestamp("us", "UTC"))
        pq.write_table(
            pa.table({"user_id": entities["user_id"], "event_timestamp": times}), folder / f"{count}.parquet"
        )
    return {}


def _make_events(random: np.random.Generator, count: int) -> pa.Table:
    """Return clicks on tracks, in the columns of the event table, sorted by user and time."""
    base = np.datetime64("2026-01-01T00:00:00", "us")
    user = np.sort(random.integers(0, count // EVENTS_PER_USER, count))
    at = base + np.arange(count).astype("timedelta64[s]") * 2
    track = np.char.add("t", random.integers(0, TRACKS, count).astype(str))
    number = np.arange(count) - np.searchsorted(user, user)
    same = np.full(count, "click"), np.full(count, "track")
    return pa.table(
        {
            "event_id": np.char.add("e", np.arange(count).astype(str)),
            "user_id": np.char.add("u", np.char.zfill(user.astype(str), 7)),
            "event_number": number,
            "sequence_number": number,
            "known_at": at,
            "request_at": at - np.timedelta64(1, "us"),
            "occurred_at": at,
            "ended_at": at,
            "action": same[0],
            "behavior": same[0],
            "target_type": same[1],
            "target_id": track,
            "track_id": track,
            "played_ratio": pa.nulls(count, pa.float32()),
            "scene": pa.nulls(count, pa.string()),
        }
    )


def _write_lists(events: pa.Table, path: Path) -> None:
    """Write Feast's table in chunks: for each event the tracks of the last events up to it."""
    number_E, tracks = events["event_number"].to_numpy(), events["track_id"].combine_chunks()
    kind = pa.schema(
        [*(events.schema.field(name) for name in ("user_id", "known_at")), ("track_id", pa.list_(pa.string()))]
    )
    with pq.ParquetWriter(path, kind) as file:
        for begin in range(0, events.num_rows, 100_000):
            row = np.arange(begin, min(begin + 100_000, events.num_rows))
            start = np.maximum(row - LENGTH + 1, row - number_E[row])
            place = np.concatenate([np.arange(first, last + 1) for first, last in zip(start, row, strict=True)])
            offsets = np.concatenate([[0], np.cumsum(row - start + 1)]).astype(np.int32)
            lists = pa.ListArray.from_arrays(pa.array(offsets), tracks.take(pa.array(place)))
            keys = events.select(["user_id", "known_at"]).slice(begin, len(row))
            file.write_table(pa.table([*keys.columns, lists], schema=kind))


def _measure_join(folder: Path, rows: int, what: str) -> dict[str, Any]:
    store = _open_store(folder, is_ours=what != "feast")
    entities = pd.read_parquet(folder / f"{rows}.parquet")

    def read(frame: pd.DataFrame) -> Any:
        return store.get_historical_features(frame.copy(), features=["recent_clicks:track_id"])

    read(entities.head(10)).to_arrow()  # imports on first use are not measured
    if what == "streamed":
        with tempfile.TemporaryDirectory() as name:
            seconds, _ = _time_call(lambda: read(entities).to_parquet(Path(name) / "answer.parquet"))
        return {"seconds": seconds, "memory": peak_bytes()}
    seconds, answer = _time_call(lambda: read(entities).to_arrow())
    return {"seconds": seconds, "memory": peak_bytes(), "answer": _digest(answer)}


def _time_call(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _digest(answer: pa.Table) -> str:
    """Return a digest that does not depend on the order of the rows."""
    rows = answer.sort_by([("user_id", "ascending"), ("event_timestamp", "ascending")])
    digest = hashlib.sha256()
    for part in rows["track_id"].chunks:
        for begin in range(0, len(part), 10_000):
            for tracks in part.slice(begin, 10_000).to_pylist():
                digest.update(" ".join(tracks).encode() + b"\n")
    return digest.hexdigest()


def _open_store(folder: Path, is_ours: bool) -> FeatureStore:
    table = "events" if is_ours else "lists"
    home = Path(tempfile.mkdtemp(dir=folder))
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(home / "registry.db"),
        online_store={"type": "sqlite", "path": str(home / "online.db")},
        offline_store={"type": "sequences.offline.duckdb_store.SequenceOfflineStore" if is_ours else "duckdb"},
        entity_key_serialization_version=3,
    )
    source = FileSource(
        name=table,
        path=str(folder / f"{table}.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="known_at",
        tags={SEQUENCE_TAG: SEQUENCE_VIEWS["recent_clicks"].to_json()} if is_ours else {},
    )
    clicks = FeatureView(
        name="recent_clicks", entities=[USER], schema=[Field(name="track_id", dtype=Array(String))], source=source
    )
    store = FeatureStore(config=config)
    store.apply([USER, clicks])
    return store


def main() -> None:
    """Run one alternative in its own process; print its measurements as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "ours", "feast", "streamed"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    options = parser.parse_args()
    work = _make_data if options.what == "make" else lambda folder, rows: _measure_join(folder, rows, options.what)
    print(json.dumps(work(options.folder, options.rows)))


if __name__ == "__main__":
    main()
