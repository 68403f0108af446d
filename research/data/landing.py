"""Throughput and peak memory of landing a log.

    land_events              rows per second of Segue's own events, validated, deduplicated and partitioned, compared
                             with polars, which only reads and writes the same file
    land_memory_<format>     peak memory of `rows` synthetic plays of 1,000 users in two months, in the exact format of
                             a public log; must stay under a limit however long the log is

Two months, because deduplication reads what a month already has. Each log is landed in its own process, whose peak
memory is read from the kernel. Below a few million rows it still grows: staging may use its memory budget before it
spills.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import polars as pl

from config import settings
from ingestion.land import land
from research.result import Result, compare_rates, result_with_limit
from training.process import peak_bytes

MIB, LIMIT_MIB = 1 << 20, 1536
START_S, SECONDS = 1_230_768_000, 59 * 86_400
PLAYS = f"""
    select
        n, hash(n) % 1000 as person, hash(n + 1) % 50000 as track, hash(n + 1) % 50000 % 5000 as artist,
        ({START_S} + n * {SECONDS} // $rows)::bigint as at_s, (hash(n + 2) % 240)::bigint as played_s
    from range($rows) as plays (n)
"""
TIME = "strftime(make_timestamp(at_s * 1000000), '%Y-%m-%dT%H:%M:%SZ')"
LISTENBRAINZ_LINE = (
    """format('{{"user_id": {}, "timestamp": {}, "track_metadata": {{"artist_name": "Artist {}", "track_name": "Song {}", """
    """"release_name": "Album {}", "additional_info": {{}}}}, "recording_msid": "m{}"}}', person, at_s, artist, track, artist, track)"""
)
THIRTY_MUSIC_LINE = (
    """format('event.play\t{}\t{}\t{{"playtime":{}}}\t{{"subjects":[{{"type":"user","id":{}}}],"""
    """"objects":[{{"type":"track","id":{}}}]}}', n, at_s, played_s, person, track)"""
)


def _lastfm(folder: Path, rows: int) -> None:
    name = "userid-timestamp-artid-artname-traid-traname.tsv"
    line = f"concat_ws(chr(9), 'user_' || person, {TIME}, '', 'Artist ' || artist, '', 'Song ' || track)"
    _write_lines(folder / name, line, rows)


def _listenbrainz(folder: Path, rows: int) -> None:
    _write_lines(folder / "listens" / "2009" / "1.listens", LISTENBRAINZ_LINE, rows)


def _thirty_music(folder: Path, rows: int) -> None:
    _write_lines(folder / "relations" / "events.idomaar", THIRTY_MUSIC_LINE, rows)


def _mapped_csv(folder: Path, rows: int) -> None:
    mapping = "file: plays.csv\ncolumns: {user: who, time: when, title: song, artist: band, played: seconds}\nmeans: end\nplayed: s\n"
    (folder / "segue-mapping.yaml").write_text(mapping, encoding="utf-8")
    line = f"concat_ws(',', person, {TIME}, 'Song ' || track, 'Artist ' || artist, played_s)"
    _write_lines(folder / "plays.csv", line, rows, "who,when,song,band,seconds")


def _play_log(folder: Path, rows: int) -> None:
    line = "concat_ws(',', person, at_s, track, artist, played_s * 1000)"
    _write_lines(folder / "events.csv", line, rows, "user_id,ts,track_id,artist_id,ms_played")


def _yambda(folder: Path, rows: int) -> None:
    columns = (
        "person::uinteger as uid, ((at_s - 1230768000) // 5 * 5)::uinteger as timestamp, track::uinteger as item_id, "
        "1::utinyint as is_organic, (played_s % 101)::usmallint as played_ratio_pct, 200::uinteger as track_length_seconds"
    )
    _write_parquet(folder / "listens.parquet", columns, rows)


def _own_events(folder: Path, rows: int) -> None:
    columns = (
        "md5(n::varchar) as event_id, person::varchar as user_id, n::bigint as sequence_number, 'track' as target_type, "
        "track::varchar as target_id, make_timestamp(at_s * 1000000) as occurred_at, "
        "make_timestamp((at_s + played_s) * 1000000) as ended_at, 'play' as action, (played_s * 1000)::bigint as played_ms"
    )
    _write_parquet(folder / "listening_events.parquet", columns, rows)


FORMATS: dict[str, Callable[[Path, int], None]] = {
    "lastfm_1k": _lastfm,
    "listenbrainz": _listenbrainz,
    "yambda": _yambda,
    "thirty_music": _thirty_music,
    "mapped_csv": _mapped_csv,
    "play_log": _play_log,
    "own_events": _own_events,
}


def run_throughput(rows: int) -> Result:
    """Return the rows per second for about `rows` events of a simulated log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = ["--users", "400", "--tracks", "4000", "--days", "20", "--seed", "1", "--out", str(folder / "world")]
        subprocess.run([sys.executable, "-m", "ingestion.simulate", *world], check=True, capture_output=True)
        files = sorted((folder / "world").glob("**/listening_events/**/*.parquet"))
        events = pl.read_parquet([str(file) for file in files], hive_partitioning=False).head(rows)
        (folder / "log").mkdir()
        events.write_parquet(folder / "log" / "listening_events.parquet")

        def ours() -> None:
            shutil.rmtree(folder / "home", ignore_errors=True)
            counts = land(folder / "log", folder / "home")
            landed = sum(count.landed for count in counts.values())
            assert landed == events.height, f"{landed:,} of {events.height:,} rows landed"

        def polars() -> None:
            pl.read_parquet(folder / "log" / "listening_events.parquet").write_parquet(folder / "copy.parquet")

        return compare_rates(
            "land_events", "rows/s", "polars read_parquet + write_parquet", events.height, ours, polars
        )


def run_memory(name: str, rows: int) -> Result:
    """Return the peak memory of landing `rows` plays in a format."""
    return result_with_limit(f"land_memory_{name}", "MiB", _measure_peak_memory(name, rows), LIMIT_MIB)


def _measure_peak_memory(name: str, rows: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        (log := Path(folder) / "log").mkdir()
        FORMATS[name](log, rows)
        command = [
            sys.executable,
            "-m",
            "research.data.landing",
            str(log),
            str(Path(folder) / "home"),
            str(rows),
        ]
        done = subprocess.run(command, cwd=settings.ROOT, check=True, capture_output=True, text=True)
        return int(done.stdout.splitlines()[-1]) / MIB


def _write_lines(path: Path, line: str, rows: int, header: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        if header:
            file.write(header + "\n")
        for block in _read_blocks(f"select {line} as line from ({PLAYS})", rows):
            file.write("\n".join(block) + "\n")


def _read_blocks(query: str, rows: int) -> Iterator[list[str]]:
    with duckdb.connect() as connection:
        connection.execute(query, {"rows": rows})
        while block := connection.fetchmany(100_000):
            yield [line for (line,) in block]


def _write_parquet(path: Path, columns: str, rows: int) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"copy (select {columns} from ({PLAYS})) to '{path}'", {"rows": rows})


def main() -> None:
    """Land the log of a folder and print the peak resident bytes of this process."""
    log, home, rows = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    (counts,) = land(log, home).values()
    assert counts.quarantined == 0 and counts.landed >= rows, counts
    print(peak_bytes())


if __name__ == "__main__":
    main()
