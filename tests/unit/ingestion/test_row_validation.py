"""Each violation of the contract has its own reason, and valid rows have none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from ingestion import landed_tables
from ingestion.row_validation import conform
from tests.support.log_sources import event

VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    ({"event_id": None}, "event_id is missing"),
    ({"user_id": " "}, "user_id is missing"),
    ({"sequence_number": None}, "sequence_number is missing"),
    ({"occurred_at": "yesterday"}, "occurred_at yesterday is not a time"),
    ({"ended_at": None}, "ended_at is missing"),
    ({"action": "play", "played_ms": "-1"}, "played_ms -1 is not from 0"),
    ({"action": "play", "played_ms": "long"}, "played_ms long is not a whole number"),
    ({"occurred_at": "0", "ended_at": "0"}, "occurred_at 1970-01-01"),
    ({"occurred_at": "2300-01-01T00:00:00Z", "ended_at": "2300-01-01T00:00:00Z"}, "is not before 2100"),
    ({"ended_at": "9223372036854775807"}, "ended_at 9223372036854775807 is not a time"),
    ({"ended_at": "+262142-12-31T00:00:00Z"}, "ended_at +262142-12-31T00:00:00Z is not a time"),
    ({"propensity": "NaN"}, "propensity NaN is not a number"),
]
"""Of values that a report cannot have; the others are in `tests/contract/serving/test_event_schema.py`."""


@pytest.mark.parametrize(("change", "reason"), VIOLATIONS, ids=[reason for _, reason in VIOLATIONS])
def test_invalid_row_has_the_reason(change: dict[str, Any], reason: str) -> None:
    rows = [{k: None if v is None else str(v) for k, v in row.items()} for row in (event(), event(**change))]
    valid, invalid = conform(
        "listening_events", pl.DataFrame(rows, dict.fromkeys(landed_tables.LISTENING_EVENTS.names, pl.String))
    )["reason"]
    assert valid is None and reason in invalid


def test_times_are_parsed_in_every_allowed_format() -> None:
    forms = [
        "2026-05-01T10:00:00Z",
        "2026-05-01 10:00:00",
        "2026-05-01T10:00",
        "2026-05-01T12:00:00+02:00",
        "2026-05-01T10:00:00.000000+00:00",
        str(int(datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp() * 1_000_000)),
    ]
    text = pl.DataFrame({"occurred_at": forms, "ended_at": forms})
    assert conform("listening_events", text)["occurred_at"].to_list() == [datetime(2026, 5, 1, 10, tzinfo=UTC)] * len(
        forms
    )


def test_typed_columns_keep_their_values_and_microseconds() -> None:
    at = datetime(2026, 5, 1, 10, 0, 0, 123456)
    frame = pl.DataFrame([event(action="play", played_ms=31_000.0, occurred_at=at, ended_at=at)])
    row = conform("listening_events", frame.with_columns(pl.col("occurred_at", "ended_at").cast(pl.Datetime("ns"))))
    assert row.select("reason", "ended_at", "played_ms").rows() == [(None, at.replace(tzinfo=UTC), 31_000)]


def test_text_is_stripped_and_empty_text_is_null_unless_it_clears_a_column_of_a_track() -> None:
    blank = {
        "title": "",
        "album_id": " ",
        "language": "",
        "artist_ids": ["", " a "],
        "styles": [""],
        "audio_path": " a",
    }
    (row,) = conform("tracks", pl.DataFrame({"track_id": ["t\n"], **{name: [value] for name, value in blank.items()}}))[
        "track_id", *blank, "reason"
    ].rows()
    assert row == ("t", "", "", "", ["a"], [], " a", None)


NODES = {
    "head": ["artist:1", "Ghost", "artist:1"],
    "tail": ["genre:a b", "genre:a", "g:"],
    "relation": ["has_genre"] * 3,
}


@pytest.mark.parametrize(
    ("table", "columns", "reasons"),
    [
        ("artists", {"artist_id": ["a"], "name": [" "]}, ["name is missing"]),
        (
            "tracks",
            {"track_id": ["t1", "t2"], "duration_ms": [86_400_000, 86_400_001]},
            [None, "duration_ms 86400001 is not in (0, 86400000]"],
        ),
        (
            "knowledge_triples",
            NODES,
            [None, "head Ghost is not of the form type:id", "tail g: is not of the form type:id"],
        ),
    ],
)
def test_invalid_rows_of_the_catalog_have_the_reason(
    table: str, columns: dict[str, list[Any]], reasons: list[str | None]
) -> None:
    assert conform(table, pl.DataFrame(columns))["reason"].to_list() == reasons


def track_reason(column: str, text: str | None) -> str | None:
    """The reason why a track with this text is rejected."""
    return conform(
        "tracks", pl.DataFrame({"track_id": ["t"], column: [text]}, {"track_id": pl.String, column: pl.String})
    )["reason"].item()


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("audio_url", "https://music.example/a/1.ogg?sign=a%20b&x=1#t=3"),
        *(("audio_url", url) for url in ("https://music.example:8443", "audio/1.ogg", "1.mp3", None, " ")),
        *(("audio_path", path) for path in ("1.mp3", "Sigur Rós/( )/03 - Untitled #3.flac", "歌/晚安.ogg", "", None)),
        *(("cover_path", path) for path in ("..a/b..", ".hidden/1.mp3", f"media:covers/{'0' * 64}.jpg")),
    ],
)
def test_https_urls_and_relative_paths_are_valid(column: str, text: str | None) -> None:
    assert track_reason(column, text) is None


URLS = (
    *("http://music.example/1.ogg", "javascript:alert(1)", "data:audio/wav;base64,aa", "//music.example/1.ogg"),
    *(
        "/etc/passwd",
        "../1.ogg",
        "a/../../1.ogg",
        "https://",
        "https://a b/1.ogg",
        'https://a/"onerror="x',
        "file:///1",
    ),
    *("https://user@host/1.ogg", "https:music.example", "a\nb", "https://music.example/" + "a" * 2_000),
)
PATHS = (
    *("/etc/passwd", "../1.ogg", "a/../../1.ogg", "a/..", "..", ".", "./a", "a//b", "a/", "a\0b", "a\nb", "\ufffd"),
    *("a" * 1_001, "0123456789abcdef:1.mp3", "media:roots.json", f"media:covers/{'0' * 64}.jpg/../../x"),
)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("audio_url", url) for url in URLS),
        *((column, path) for column in ("audio_path", "cover_path") for path in PATHS),
    ],
)
def test_other_urls_and_paths_out_of_the_source_are_rejected(column: str, text: str) -> None:
    reason = track_reason(column, text)
    assert reason is not None and reason.startswith(f"{column} ")
