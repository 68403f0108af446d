"""Cost of training a channel for ten times as many events: one pass over all of them, from marts to weights.

The log grows by users, each with the same number of plays from a catalog of fixed size; marts are written as they are
published, without the pipeline before them. `realtime` of recipe `small` reads them and takes as many steps as one pass
over all events needs, in its own process, which reports elapsed time, processor time and peak memory.
`scale_train_epoch` is the exponent of processor time, t ~ events ** exponent. Memory is bounded by
SEGUE_TRAINING_PLAYS: `scale_train_epoch_memory` is the peak memory of the large log, holding as many plays as the small
one has, relative to that of the small one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.result import Result, result_with_limit
from config import settings

GROWTH_FACTOR = 10
MAX_EXPONENT = 1.1
MAX_MEMORY_RATIO = 1.5
PLAYS_PER_USER, TRACKS, TRACKS_PER_ARTIST, TRACKS_PER_USER = 500, 50_000, 10, 300
EVENT_INTERVAL_S, PLAYS_PER_SESSION, HOURS_BETWEEN_SESSIONS = 200, 20, 20
PARTS = (0.9, 0.95)
SERVICE_VIEWS = ("recent_events", "recent_clicks", "played_history")
MEMORY_LIMIT = "2GB"


@dataclass(frozen=True)
class EpochCost:
    """Seconds in total (elapsed and of the processor) and of reading alone; peak memory, MB."""

    seconds: float
    processor: float
    reading: float
    peak_mb: int


def run(events: int) -> list[Result]:
    """Return the results for `events` events and ten times as many."""
    more = events * GROWTH_FACTOR
    (few,), (many, bounded) = _measure_epochs(events, [events]), _measure_epochs(more, [more, events])
    exponent = math.log(many.processor / few.processor) / math.log(GROWTH_FACTOR)
    clock = math.log(many.seconds / few.seconds) / math.log(GROWTH_FACTOR)
    return [
        result_with_limit("scale_train_epoch", "exponent", exponent, MAX_EXPONENT),
        result_with_limit("scale_train_epoch_clock", "exponent", clock, MAX_EXPONENT),
        result_with_limit("scale_train_epoch_memory", "times", bounded.peak_mb / few.peak_mb, MAX_MEMORY_RATIO),
        Result.from_values("scale_train_epoch_rate", "events/s of processor", more / many.processor),
        Result.from_values("scale_train_epoch_reading", "s", many.reading),
        Result.from_values("scale_train_epoch_peak", "MB", many.peak_mb),
        Result.from_values("scale_train_epoch_bounded", "s of processor", bounded.processor),
        Result.from_values("scale_train_epoch_bounded_peak", "MB", bounded.peak_mb),
    ]


def write_marts(folder: Path, events: int) -> None:
    """Write marts of users who return to a few tracks each, in sessions of twenty plays; a fifth is skipped."""
    folder.mkdir(parents=True, exist_ok=True)
    day_us = HOURS_BETWEEN_SESSIONS * 3_600_000_000
    rows = f"""
        select printf('u%07d', listener) as user_id, number as play_number, number as event_number,
            1700000000000000 + (number // {PLAYS_PER_SESSION}) * {day_us} + (number % {PLAYS_PER_SESSION}) * {EVENT_INTERVAL_S * 1_000_000}
                as began_us,
            (hash(listener, floor(exp(ln({TRACKS_PER_USER}) * ((hash(listener, number, 1) % 1000000) / 1e6))))
                % {TRACKS})::int as track,
            hash(listener, number, 2) % 5 = 0 as is_skip
        from range({events // PLAYS_PER_USER}) as listeners(listener), range({PLAYS_PER_USER}) as plays(number)
    """
    first, second = (share * PLAYS_PER_USER for share in PARTS)
    plays = f"""
        select md5(user_id || '-' || play_number) as event_id, user_id, play_number, event_number,
            event_number as sequence_number, make_timestamp(began_us) as request_at,
            make_timestamp(began_us) as occurred_at,
            make_timestamp(began_us + if(is_skip, 10000000, 180000000)) as ended_at,
            make_timestamp(began_us + if(is_skip, 10000000, 180000000)) as known_at,
            'play' as action, if(is_skip, 'skip', 'full_play') as behaviour,
            'track' as target_type, 't' || track as target_id, 't' || track as track_id,
            if(is_skip, .05, 1)::float as played_ratio, not is_skip as is_listened,
            user_id || '-' || (play_number // {PLAYS_PER_SESSION}) as session_id, 'daily' as scene,
            case when play_number < {first} then 'train' when play_number < {second} then 'validation' else 'test' end
                as part
        from ({rows})
        order by user_id, play_number
    """
    tracks = f"""
        select 't' || number as track_id, 'Song ' || number as title, 'a' || number // {TRACKS_PER_ARTIST} as artist_id,
            ['Band ' || number // {TRACKS_PER_ARTIST}] as artist_names, true as is_in_catalogue,
            null::timestamp as available_from, null::date as released_on, ['western'] as languages,
            ['style ' || number % 12] as styles, []::varchar[] as scenes, []::varchar[] as emotions, []::varchar[] as themes
        from range({TRACKS}) as tracks(number)
    """
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("set temp_directory = ?", [str(folder)])
        connection.execute(f"copy ({plays}) to '{folder / 'events.parquet'}' (format parquet)")
        connection.execute(f"copy ({tracks}) to '{folder / 'tracks.parquet'}' (format parquet)")
    (folder / "plays.parquet").hardlink_to(folder / "events.parquet")


def _measure_epochs(events: int, most_held: Sequence[int]) -> Iterator[EpochCost]:
    """Return the cost for each limit of plays held in memory."""
    with tempfile.TemporaryDirectory() as name:
        write_marts(Path(name), events)
        command = [sys.executable, "-m", "benchmarks.training.epoch_scaling", name]
        environment = {**os.environ, "SEGUE_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        for most in most_held:
            done = subprocess.run(
                command,
                env=environment | {"SEGUE_TRAINING_PLAYS": str(most)},
                cwd=settings.ROOT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            epoch = EpochCost(**json.loads(done.stdout.splitlines()[-1]))
            print(f"{events:,} events, at most {most:,} held: {epoch}", flush=True)
            yield epoch


def _measure(marts: Path) -> EpochCost:
    """Return the cost, measured in its own process so that memory is not shared."""
    from training.data.feature_services import ServiceContract
    from training.data.training_data import TrainingData
    from training.engine.config_io import change_config
    from training.engine.process_memory import peak_mb
    from training.recall.realtime.channel import Realtime
    from training.recipes import recipe

    began, processor_began = time.perf_counter(), time.process_time()
    data = TrainingData(marts, "held_out", recipe("small"), services={"realtime": ServiceContract(SERVICE_VIEWS)})
    data.reader("recent_events")
    reading = time.perf_counter() - began
    config = Realtime.config("small")
    steps = max(1, len(data.plays) // (config.sampling.batch * config.encoder.history_length))
    with tempfile.TemporaryDirectory() as folder:
        Realtime.fit(
            data,
            change_config(config, {"optimizer.steps": steps, "validation.early_stopping_step": steps}),
            Path(folder),
        )
    seconds = time.perf_counter() - began
    return EpochCost(round(seconds, 1), round(time.process_time() - processor_began, 1), round(reading, 1), peak_mb())


def main() -> None:
    """Run one pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("marts", type=Path)
    options = parser.parse_args()
    measured: dict[str, Any] = vars(_measure(options.marts))
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
