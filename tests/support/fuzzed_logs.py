"""Writers of logs of every format with mutated rows, and the number of rows in them, counted without the readers."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import landed_tables
from storage.files import atomic_write
from tests.support.music_folder import EXTENSIONS, write_track

ROWS = 1_000_000 if os.environ.get("SEGUE_ACCEPTANCE") else 400
"""Number of rows of each log, about."""
MUSIC_FILES = min(ROWS // 2, 10_000)  # each is encoded
MUTATED_SHARE = 0.08  # below the share of unparsable rows that rejects a log
ERASED_USER = "u7"
START = datetime(2020, 1, 1, tzinfo=UTC)
TITLES = (b"c", b'"a, ""b"""', b'"a, ""b"""')
MAPPING = b"file: plays.csv\ncolumns: {user: who, time: at, title: song, artist: by, played: ms, action: what}\n"
TOKENS = [
    *(
        b'"',
        b'""',
        b"'",
        b",",
        b"\t",
        b"\r",
        b"\r\n",
        b"\n",
        b"\n\n",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(
        b"\\ud800",
        b"\\",
        b"\\u0000",
        b"null",
        b"NaN",
        b"1e999",
        b"-1",
        b"9" * 19,
        b"9" * 40,
        b"9" * 5_000,
        b"2099-01-01T00:00:00Z",
    ),
    *(b"[" * 2_000, b"{" * 2_000, b"{}", b"[]", b"}", b"]", b" ", b"\xe2\x80\xa8", "é".encode(), b"x" * 300),
]
VALUES: list[Any] = [
    *(None, "", " ", "x", "\ud800", "\x00", "x" * 300, 0, -1, 5, 1.5, 10**18, 10**30, -(10**18), 1e308, float("nan")),
    *(float("inf"), True, [], [1], {}, {"a": 1}, "2099-01-01T00:00:00Z", "2021-03-01", "1e5", "\ufffd"),
]


def mutate(line: bytes, chance: random.Random) -> bytes:
    """The line with one to three changes of its bytes."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, length = chance.randrange(len(line) + 1), chance.choice((0, 0, 1, 5, 20))
        change = chance.choice((b"", bytes([chance.randrange(256)]), line[at : at + length] * 2, chance.choice(TOKENS)))
        line = line[:at] + change + line[at + length :]
    return line


def write(path: Path, content: bytes) -> None:
    atomic_write(path, gzip.compress(content, 1) if path.suffix == ".gz" else content)


def count_table_rows(content: bytes) -> int:
    return sum(line != b"" for line in content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))


def count_json_lines(content: bytes) -> int:
    return sum(line.decode("utf-8", "replace").strip() != "" for line in content.split(b"\n"))


def json_line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=bool(len(row) % 2)).encode()


def time_of(number: int) -> datetime:
    return START + timedelta(seconds=61 * number)


def second_of(number: int) -> int:
    return int(time_of(number).timestamp())


def user_of(number: int) -> str:
    return f"u{number % 10}"


def event(number: int) -> dict[str, Any]:
    row = {"event_id": f"e{number}", "user_id": user_of(number), "sequence_number": number, "target_type": "track"}
    row |= {
        "target_id": f"t{number % 9}",
        "occurred_at": time_of(number).isoformat(),
        "ended_at": time_of(number).isoformat(),
    }
    return row | {"action": "like", "scene": "daily"}


def with_a_wrong_value(row: dict[str, Any], chance: random.Random, share: float = MUTATED_SHARE) -> dict[str, Any]:
    """The row, in this share of calls with another value."""
    return row | {chance.choice(list(row)): chance.choice(VALUES)} if chance.random() < share else row


@dataclass(frozen=True)
class TextLog:
    """Writes a log of lines, some of them mutated, after a header; returns the number of rows.

    Args:
        file: Name of the file.
        line: The line of a number.
        header: Content before the first line.
        end: End of a line.
        count: Number of the rows in lines.
        more: Name and content of further files.
    """

    file: str
    line: Callable[[int, random.Random], bytes]
    header: bytes = b""
    end: bytes = b"\n"
    count: Callable[[bytes], int] = count_table_rows
    more: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, folder: Path, chance: random.Random) -> int:
        lines = (self.line(number, chance) for number in range(ROWS))
        rows = self.end.join(mutate(line, chance) if chance.random() < MUTATED_SHARE else line for line in lines)
        for name, content in {self.file: self.header + rows, **self.more}.items():
            write(folder / name, content)
        return self.count(rows)


def library_song(number: int, chance: random.Random) -> bytes:
    row: dict[str, Any] = {"id": f"s{number}", "title": "t", "artist": "a", "album": "b", "year": 1999}
    row |= {"duration": 200, "genres": [{"name": "Rock"}], "isrc": ["x"], "album_artist": "a"}
    return json_line(with_a_wrong_value(row, chance))


def listen(number: int, _: object = None) -> bytes:
    metadata = {"artist_name": "Ghøst", "track_name": f"t{number % 9}", "additional_info": {"artist_mbids": ["a"]}}
    return json_line({"user_id": user_of(number), "listened_at": second_of(number), "track_metadata": metadata})


def thirty_music_play(number: int, _: object) -> bytes:
    links = {"subjects": [{"id": user_of(number)}], "objects": [{"id": number % 9}]}
    return f'event.play\t{number}\t{second_of(number)}\t{{"playtime":{number % 400}}}\t{json.dumps(links)}'.encode()


TEXT_LOGS = {
    "play_log": TextLog(
        "events.csv.gz",
        lambda n, _: b"%s,%d,%s,%d,%d" % (user_of(n).encode(), second_of(n), TITLES[n % 3], n % 5, n % 300_000),
        b"user_id,ts,track_id,artist_id,ms_played\n",
    ),
    "mapped_csv": TextLog(
        "plays.csv",
        lambda n, _: (
            f'{user_of(n)},{time_of(n).isoformat()},"s, {n % 9}",b,{n % 200_000},{"play" if n % 7 else "like"}'.encode()
        ),
        b"who,at,song,by,ms,what\r\n",
        b"\r\n",
        more={"segue-mapping.yaml": MAPPING},
    ),
    "lastfm_1k": TextLog(
        "userid-timestamp-artid-artname-traid-traname.tsv",
        lambda n, _: f'{user_of(n)}\t{time_of(n):%Y-%m-%dT%H:%M:%SZ}\ta{n % 3}\tGhost\tt{n % 9}\tSay "Hi"'.encode(),
    ),
    "lastfm_export": TextLog(
        "export.csv",
        lambda n, _: f'"{second_of(n)}","1 Jan","Ghost","","Meliora","","t ""{n % 9}""",""'.encode(),
        b"uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n",
    ),
    "artist_genres": TextLog(
        "artist_genre.tsv",
        lambda n, _: f"artist {n}\thas_genre\trock\tx".encode(),
        b"artist_name\trelation\tgenre_or_tag\tsources\n",
    ),
    "subsonic": TextLog("library.subsonic", library_song, count=count_json_lines),
    "listenbrainz": TextLog(
        "listens/2020/1.listens", listen, listen(0) + b"\n", count=lambda rows: 1 + count_json_lines(rows)
    ),
    "thirty_music": TextLog("relations/events.idomaar", thirty_music_play, count=count_json_lines),
    "own_events": TextLog(
        "listening_events/log.jsonl",
        lambda n, chance: json_line(with_a_wrong_value(event(n), chance, MUTATED_SHARE / 2)),
        count=count_json_lines,
    ),
}


def own_events(folder: Path, chance: random.Random) -> int:
    return TEXT_LOGS["own_events"](folder, chance) + parquet_events(folder / "listening_events")


def parquet_columns(number: int) -> list[pa.Array]:
    """Arrays of `number` values of many types."""
    odd: list[Any] = [
        *((["x", None], pa.string()), ([b"u1", b"\xff"], pa.binary()), ([b"a\xff", b"bb"], pa.binary(2))),
        *(([1, -1], pa.int8()), ([2**64 - 1, 0], pa.uint64()), ([9 * 10**18, -(9 * 10**18)], pa.int64())),
        *(([1.5, float("nan")], pa.float32()), ([float("inf"), -0.0], pa.float64()), ([True, None], pa.bool_())),
        *(
            ([["a"], None], pa.list_(pa.string())),
            ([[1], [2]], pa.list_(pa.int64())),
            ([[[1]], []], pa.list_(pa.list_(pa.int8()))),
        ),
        *(([{"a": 1}, None], pa.struct({"a": pa.int64()})), ([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))),
        *(
            ([1, 2], pa.time32("s")),
            ([1, 2], pa.duration("us")),
            ([None, None], pa.null()),
            ([["a"], ["b"]], pa.list_(pa.string(), 1)),
        ),
    ]
    arrays = [pa.array([values[row % 2] for row in range(number)], data_type) for values, data_type in odd]
    ticks = [(9 * 10**18, -(9 * 10**18), 0, 1_600_000_000_000)[row % 4] for row in range(number)]
    for unit in ("s", "ms", "us", "ns"):  # Parquet has no seconds; they must fit into milliseconds
        values = pa.array([tick // 1_000 for tick in ticks] if unit == "s" else ticks, pa.int64())
        arrays += [values.view(pa.timestamp(unit, zone)) for zone in (None, "UTC", "Asia/Tokyo")]
    arrays.append(pa.array([(2**31 - 1, -(2**31))[row % 2] for row in range(number)], pa.int32()).view(pa.date32()))
    arrays += [arrays[0].dictionary_encode(), arrays[0].cast(pa.large_string()), arrays[5].cast(pa.decimal128(38, 2))]
    return [*arrays, pa.Array.from_buffers(pa.string(), number, arrays[1].buffers())]


def parquet_events(folder: Path) -> int:
    """Write one Parquet file for each combination of a column and a type; return the number of rows."""
    names = [field.name for field in landed_tables.LISTENING_EVENTS]
    rows = max(4, ROWS // 1_000)
    arrays = parquet_columns(rows)
    for number in range(len(arrays) * len(names) if ROWS > 1_000 else len(arrays)):
        table = pa.table({name: [event(row)[name] for row in range(rows)] for name in event(0)})
        table = table.set_column(0, "event_id", pa.array([f"p{number}-{row}" for row in range(rows)]))
        name, array = names[(number // len(arrays) + number) % len(names)], arrays[number % len(arrays)]
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, array) if at >= 0 else table.append_column(name, array)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"p{number}.parquet")
    return rows * (number + 1)


def streaming_history(folder: Path, chance: random.Random) -> int:
    def basic(number: int) -> dict[str, Any]:
        return {
            "endTime": f"{time_of(number):%Y-%m-%d %H:%M}",
            "artistName": "A",
            "trackName": f"t{number % 9}",
            "msPlayed": 40_000,
        }

    def extended(number: int) -> dict[str, Any]:
        row = {
            "ts": f"{time_of(number):%Y-%m-%dT%H:%M:%SZ}",
            "ms_played": 40_000,
            "master_metadata_track_name": f"t{number % 9}",
        }
        return row | {"master_metadata_album_artist_name": "A", "spotify_track_uri": "spotify:track:x"}

    for form, name, half in (
        (basic, "StreamingHistory0", range(ROWS // 2)),
        (extended, "endsong_0", range(ROWS // 4, ROWS * 3 // 4)),
    ):
        elements = []
        for number in half:
            row: Any = with_a_wrong_value(form(number), chance, MUTATED_SHARE / 2)
            if chance.random() < MUTATED_SHARE / 2:
                row = chance.choice(({}, [], None, "x", {name: row}))
            elements.append(json.dumps(row))
        write(folder / f"{ERASED_USER}x" / f"{name}.json", f"[{', '.join(elements)}]".encode())
    return 2 * (ROWS // 2)


def yambda(folder: Path, chance: random.Random) -> int:
    folder.mkdir(parents=True)
    kinds = ("listen", "listen", "listen", "like", "dislike", "unlike", None, "x")
    columns: dict[str, list[Any]] = {
        "uid": [number % 10 if number % 101 else None for number in range(ROWS)],
        "timestamp": [chance.choice((*[number * 5] * 9, None, 10**18, -1)) for number in range(ROWS)],
        "item_id": [number % 9 if number % 103 else None for number in range(ROWS)],
        "played_ratio_pct": [chance.choice((*[50.0] * 9, None, float("nan"), 1e300, -1.0)) for _ in range(ROWS)],
        "track_length_seconds": [chance.choice((200, 200, 200, None)) for _ in range(ROWS)],
        "event_type": [kinds[number % len(kinds)] for number in range(ROWS)],
    }
    pq.write_table(pa.table(columns), folder / "multi_event.parquet")
    return ROWS


def music_folder(folder: Path, chance: random.Random) -> int:
    """Half of the files are different tracks, the others copies of them, some of them damaged."""
    half = MUSIC_FILES // 2
    for number in range(half):
        extension = EXTENSIONS[number % len(EXTENSIONS)]
        path = folder / f"album {number % 7}" / f"{number}.{extension}"
        write_track(path, number, 0.1, title=f"t{number}", artist=f"a{number % 5}", album=f"b{number % 7}")
        content = path.read_bytes()
        for _ in range(chance.randrange(3)):
            content = mutate(
                content[: chance.choice((len(content), len(content), chance.randrange(len(content))))], chance
            )
        write(folder / "copies" / path.name, content)
    return 2 * half


FORMATS: dict[str, Callable[[Path, random.Random], int]] = TEXT_LOGS | {
    "own_events": own_events,
    "streaming_history": streaming_history,
    "music_folder": music_folder,
    "yambda": yambda,
}
"""Writer of a log of each format, which returns the number of rows."""
TABLES = {"artist_genres": "knowledge_triples", "subsonic": "tracks", "music_folder": "tracks"}
"""Tables that the rows become, other than `listening_events`."""
