"""A damaged row is quarantined with a reason, and all other rows of the log land."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.land import land, main
from ingestion.readers import streaming_history
from ingestion.readers.parsing import delimited, json_rows
from ingestion.readers.parsing.column_mapping import parse_mapping
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError
from storage.files import atomic_write
from tests.support.log_sources import event, export, json_lines, landed, play_log, quarantined

DEEP = "[" * 100_000 + "]" * 100_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)
BOM = b"\xef\xbb\xbf"
NOT_UTF8 = pa.Array.from_buffers(pa.string(), 3, pa.array([b"u1", b"\xff\xfe", b"u1"]).buffers())
LISTEN = {
    "user_id": 1,
    "listened_at": 1_600_000_000,
    "track_metadata": {"artist_name": "Ghost", "track_name": "Cirice"},
}


def reasons(home: Path, table: str = "listening_events") -> list[str]:
    return quarantined(home, table).sort("source_line")["reason"].to_list()


def play(minute: int, **columns: Any) -> dict[str, Any]:
    return {"endTime": f"2021-03-01 10:{minute:02d}", "artistName": "A", "trackName": "B", "msPlayed": 40_000} | columns


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (json.dumps(event(2, target_id="\ud800")), json_rows.NOT_UNICODE),
        (json.dumps(event(2, device="\udfff")), json_rows.NOT_UNICODE),
        ('{"event_id": ' + DEEP + "}", "the line is nested too deeply"),
        (json.dumps(event(2, occurred_at=9 * 10**18)), "occurred_at 9000000000000000000 is not a time"),
        (
            json.dumps(event(2, occurred_at="+262142-01-01T00:00:00Z")),
            "occurred_at +262142-01-01T00:00:00Z is not a time",
        ),
        (json.dumps(event(2)) + " " * MAX_LINE_BYTES + "x", "the line is longer than 4 MB"),
        ('{"event_id": ' + "9" * 5_000 + "}", "the line is not JSON"),
    ],
    ids=["surrogate", "surrogate in an optional column", "nesting", "integer time", "text time", "length", "digits"],
)
def test_a_damaged_json_line_is_quarantined(tmp_path: Path, line: str, reason: str) -> None:
    log = json_lines(tmp_path / "log" / "listening_events.jsonl", [event(1), line, event(3)])
    counts = land(log, tmp_path / "home")["own_events"]
    assert (counts.read, counts.landed, counts.quarantined) == (3, 2, 1)
    assert reasons(tmp_path / "home")[0].startswith(reason)
    assert quarantined(tmp_path / "home")["source_line"].to_list() == [2]


@pytest.mark.parametrize(
    ("limit", "value", "text", "message"),
    [
        (
            *("MAX_FILE_BYTES", 1 << 20, "[" + " " * (2 << 20) + "]"),
            r"0.json has 2 MB, more than the 1 MB that .*; split its list",
        ),
        (
            *("MAX_GRACE_VALUES", 1_000, "[" + "[]," * 20_000 + "[]]"),
            r"has 40,002 values in 60,004 bytes, which are not plays",
        ),
    ],
    ids=["bytes", "tiny values"],
)
def test_an_export_that_is_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, text: str, message: str
) -> None:
    """Parsing 6 MB of tiny values would need 800 MB."""
    monkeypatch.setattr(streaming_history, limit, value)
    (tmp_path / "StreamingHistory0.json").write_text(text)
    with pytest.raises(SourceError, match=message):
        land(tmp_path, tmp_path / "home")


def test_a_long_export_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_history, "PLAYS_PER_BLOCK", 2)
    plays = [play(minute) for minute in range(5)]
    plays[3]["endTime"] = "never"
    counts = land(export(tmp_path / "anna", StreamingHistory0=plays), tmp_path / "home")["streaming_history"]
    assert landed(tmp_path / "home").height == 4 and counts.quarantined == 1
    found = quarantined(tmp_path / "home").row(0, named=True)
    assert found["source_line"] == 4 and json.loads(found["raw"]) == plays[3]


def test_a_wrong_year_of_an_extended_export_hides_no_plays_of_the_basic_form(tmp_path: Path) -> None:
    row = {"ts": "2098-01-01T10:00:00Z", "ms_played": 40_000, "master_metadata_track_name": "B"}
    row |= {"master_metadata_album_artist_name": "A"}
    folder = export(tmp_path / "anna", StreamingHistory0=[play(1), play(2)], endsong_0=[row])
    counts = land(folder, tmp_path / "home")["streaming_history"]
    assert (landed(tmp_path / "home").height, counts.quarantined, counts.duplicate) == (2, 1, 0)


def parquet(folder: Path, **columns: pa.Array) -> Path:
    valid = pa.table({name: [event(n)[name] for n in range(3)] for name in event()})
    for name, column in columns.items():
        number = valid.schema.get_field_index(name)
        valid = valid.set_column(number, name, column) if number >= 0 else valid.append_column(name, column)
    folder.mkdir()
    pq.write_table(valid, folder / "listening_events.parquet")
    return folder


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"user_id": pa.array([b"u1", b"\xff", b"u1"])}, r"user_id is not UTF-8"),
        ({"user_id": NOT_UTF8}, r"user_id is not UTF-8"),
        ({"user_id": pa.array([b"aa", b"\xff\xff", b"bb"], pa.binary(2))}, r"user_id is not UTF-8"),
        ({"device": pa.array([None, ["x"], None])}, r"device is of type List\(String\), not text"),
        ({"device": pa.array([None, 1, None], pa.time64("us"))}, r"device 1000 \(Time\) is not text"),
        ({"position": pa.array([0, 2**62, 1])}, r"position 4611686018427387904 is not a whole number"),
        ({"propensity": pa.array([0.5, np.nan, None])}, r"propensity NaN is not in"),
        (
            {
                "ended_at": pa.array([1_777_629_600_000_000, 9 * 10**18, 1_777_629_720_000_000]).view(
                    pa.timestamp("us", "UTC")
                )
            },
            r"ended_at 9000000000000000000 \(Datetime",
        ),
        (
            {"ended_at": pa.array([1_777_629_600_000, 9 * 10**18, 1_777_629_720_000]).view(pa.timestamp("ms"))},
            r"ended_at 9000000000000000000 \(Datetime",
        ),
    ],
    ids=["binary", "text", "fixed binary", "list", "time of day", "range", "NaN", "µs", "ms"],
)
def test_a_parquet_value_of_a_wrong_type_is_quarantined(
    tmp_path: Path, columns: dict[str, pa.Array], reason: str
) -> None:
    counts = land(parquet(tmp_path / "log", **columns), tmp_path / "home")["own_events"]
    assert (counts.read, counts.landed, counts.quarantined) == (3, 2, 1)
    (found,) = reasons(tmp_path / "home")
    assert re.match(reason, found), found


def test_a_parquet_file_with_a_column_twice_is_an_error(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "log")
    table = pq.read_table(folder / "listening_events.parquet")
    twice = pa.Table.from_arrays([*table.columns, table["user_id"]], names=[*table.column_names, "user_id"])
    (folder / "more").mkdir()
    pq.write_table(twice, folder / "more" / "listening_events.parquet")
    with pytest.raises(SourceError, match=r"more/.*parquet has more than one column user_id; rename the others"):
        land(folder, tmp_path / "home")


def test_a_parquet_row_that_is_too_long_is_quarantined(tmp_path: Path) -> None:
    text = "A" * (1 << 20)
    columns = {"target_id": pa.array(["t", text * 5, "t"]), "scene": pa.array([text, "s", text])}
    counts = land(parquet(tmp_path / "log", **columns), tmp_path / "home")["own_events"]
    assert (counts.read, counts.landed, counts.quarantined) == (3, 2, 1)
    assert quarantined(tmp_path / "home").select("source_line", "reason").rows() == [(2, "the row is longer than 4 MB")]


def test_line_numbers_count_empty_lines_and_broken_lines(tmp_path: Path) -> None:
    rows = ["7,1600000000,1,1,5000", "", "7,1", "", "", '7,"', "7,1600000060,,1,5000", "7,1600000120,2,1,5000"]
    land(play_log(tmp_path / "log", rows, names=False), tmp_path / "home")
    found = quarantined(tmp_path / "home").sort("source_line").select("source_line", "reason").rows()
    assert found == [
        (4, "2 fields where the header has 9"),
        (7, "a quoted field is not closed"),
        (8, "no track: neither a track id nor a title and an artist"),
    ]
    assert landed(tmp_path / "home").height == 2


def test_quoted_fields_and_headers_are_read(tmp_path: Path) -> None:
    header = '"user_id","ts","track_id","artist_id","ms_played"\n'
    lines = ['"7","1600000000","a,""b""","1","5000"', '7,1600000060,c"d,"",5000', "7,1600000120,e,1,5000"]
    atomic_write(tmp_path / "log" / "events.csv", header + "\r\n".join(lines))
    assert land(tmp_path / "log", tmp_path / "home")["play_log"].quarantined == 0
    assert sorted(landed(tmp_path / "home")["target_id"]) == ['a,"b"', 'c"d', "e"]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"], ids=["CR", "CR LF", "LF"])
def test_a_line_ends_with_any_line_end(end: str) -> None:
    lines = ["user,time", *(f"u{number},{'x' * (number % 7)}" for number in range(200)), "", "u,t,t", "last,x"]
    content = end.join(lines).encode()
    member = Member("plays.csv", len(content), lambda: io.BytesIO(content), NOW)
    blocks = list(delimited.stream_blocks(member, ",", ["user", "time"], lambda _: None))
    rows, broken = (pl.concat(parts) for parts in zip(*blocks, strict=True))
    assert rows.select("user", "time").rows() == [tuple(line.split(",")) for line in [*lines[1:201], "last,x"]]
    assert rows["source_line"].to_list() == [*range(2, 202), 204] and broken["source_line"].to_list() == [203]


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.usefixtures("here")
def test_a_log_with_many_unparsable_lines_is_an_error_that_names_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    good = [f"7,{1_600_000_000 + 60 * n},{n},1,5000" for n in range(1_000)]
    log = play_log(tmp_path / "log", [*good, *['7,"x'] * int(1_000 * share / (1 - share))], names=False)
    code = main([str(log)])
    error = capsys.readouterr().err
    assert code == (0 if share < 0.1 else 2)
    assert ("cannot be parsed, more than 10%; the first rejected one is events.csv.gz, row 1002" in error) == (
        code == 2
    )


@pytest.mark.parametrize(
    ("name", "text", "user"),
    [
        ("events.csv", "user_id,ts,track_id,artist_id,ms_played\n7,1600000000,1,1,5000\n", "7"),
        ("log.jsonl", json.dumps(event(1)) + "\n", "u1"),
        ("1.listens", json.dumps(LISTEN) + "\n", "1"),
        ("StreamingHistory0.json", json.dumps([play(1)]), "log"),
        ("userid-timestamp-artid-artname-traid-traname.tsv", "u\t2009-05-01T10:00:00Z\ta\tA\tt\tT\n", "u"),
    ],
)
def test_a_byte_order_mark_is_ignored(tmp_path: Path, name: str, text: str, user: str) -> None:
    atomic_write(tmp_path / "log" / name, BOM + text.encode())
    land(tmp_path / "log", tmp_path / "home")
    assert landed(tmp_path / "home")["user_id"].to_list() == [user]


LISTS = b"".join(b"x%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30))
ALIASES = b"x0: &a0 [x]\n" + LISTS + b"actions: *a29\n"
MAPPING = b"file: plays.csv\ncolumns: {user: who, time: at, track: what}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MAPPING + ALIASES, r"actions: Input should be a valid dictionary"),
        (MAPPING + b"actions: " + b"[" * 2_000, r"is not YAML \(maximum recursion depth exceeded"),
        (MAPPING + b"#" * (65 << 10), r"more than 64 KB"),
        (MAPPING + b"actions: {x: 2026-13-45}\n", r"is not YAML \(month must be in"),
    ],
    ids=["alias", "nesting", "size", "date"],
)
def test_a_harmful_mapping_is_an_error(text: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=r"segue-mapping\.yaml.*" + message):
        parse_mapping(text, "segue-mapping.yaml")
