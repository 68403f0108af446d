"""Anybody's CSV or TSV of plays, with `segue-mapping.yaml` beside it that says what the columns mean (`mapping.py`)."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers.parsing import column_mapping, delimited
from ingestion.readers.parsing.column_mapping import ColumnMapping
from ingestion.readers.parsing.named_plays import EVENTS, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.sources import Member, SourceError

MAX_EPOCH_S = 10_000_000_000
"""Seconds since 1970 that can be computed with; what lies beyond fails the contract by its value."""


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if member.file == column_mapping.MAPPING_FILE] and list(files)


def _read(files: list[Member], reading: ReadContext) -> Iterator[Rows]:
    says = [member for member in files if member.file == column_mapping.MAPPING_FILE]
    if len(says) > 1:
        raise SourceError(
            f"{', '.join(one.name for one in says)}: only one mapping a folder; land each folder by itself"
        )
    mapped = column_mapping.parse_mapping(says[0].read(reading.report_progress), says[0].name)
    meant = [member for member in files if mapped.matches(member.name) or mapped.matches(member.file)]
    if not meant:
        raise SourceError(f"{says[0].name} is about {mapped.file}, and no file here is called so")
    yield from read_mapped_files(meant, mapped, reading)


def read_mapped_files(files: list[Member], mapped: ColumnMapping, reading: ReadContext) -> Iterator[Rows]:
    """Events, tracks, artists and albums of delimited files whose columns are known."""
    plays = NamedPlays(reading.scratch, mapped.means)
    wanted = list(dict.fromkeys(mapped.columns.values()))
    raw = pl.concat_str(wanted, separator=mapped.delimiter)
    try:
        for member in files:
            for rows, broken in delimited.stream_blocks(
                member, mapped.delimiter, wanted, reading.report_progress, mapped.header
            ):
                if broken.height:
                    yield Rows(EVENTS, broken.with_columns(source_file=pl.lit(member.name)))
                if rows.height:
                    yield from plays.add(
                        _rename_columns(rows, mapped, member), rows.lazy().select("source_line", raw=raw)
                    )
        yield from plays.events()
        yield from plays.catalog()
    finally:
        plays.close()


def _rename_columns(rows: pl.DataFrame, mapped: ColumnMapping, member: Member) -> pl.DataFrame:
    """The rows by what their columns mean, "" as null, and `at_us`, `played_ms`, `action`, `reason`."""
    given = {key: pl.col(column).str.strip_chars() for key, column in mapped.columns.items()}
    named = rows.select(
        "source_line",
        *(pl.when(column != "").then(column).alias(key) for key, column in given.items()),
        source_file=pl.lit(member.name),
    )
    missing = [pl.lit(None, pl.String).alias(key) for key in column_mapping.COLUMNS if key not in given]
    named = named.with_columns(missing)
    action = pl.col("action").replace(dict(mapped.actions)) if "action" in given else pl.lit("play")
    played = pl.col("played").cast(pl.Float64, strict=False) * (1000 if mapped.played == "s" else 1)
    named = named.with_columns(
        at_us=_time_expression(mapped), action=action.fill_null("play"), played_ms=played.round()
    )
    problems = {
        "time is missing": pl.col("time").is_null(),
        f"time is not {'ISO 8601' if mapped.time == 'iso' else f'a number of {mapped.time} since 1970'}": pl.col(
            "at_us"
        ).is_null(),
        "played is not a number": pl.col("played").is_not_null() & pl.col("played_ms").is_null(),
    }
    reason = pl.coalesce(pl.when(is_so).then(pl.lit(why)) for why, is_so in problems.items())
    return named.with_columns(reason=reason, played_ms=pl.col("played_ms").cast(pl.Int64, strict=False))


def _time_expression(mapped: ColumnMapping) -> pl.Expr:
    """µs since 1970."""
    if mapped.time == "iso":
        iso = pl.col("time").str.replace(" ", "T", literal=True).str.replace(r"[zZ]$", "+00:00")
        zoned = pl.when(iso.str.contains(r"[+-]\d\d:?\d\d$")).then(iso).otherwise(iso + "+00:00")
        forms = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z")
        return pl.coalesce(
            zoned.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in forms
        ).dt.epoch("us")
    number = pl.col("time").cast(pl.Float64, strict=False) / (1000 if mapped.time == "ms" else 1)
    return pl.when(number.is_between(-MAX_EPOCH_S, MAX_EPOCH_S)).then(
        (number * 1e6).round().cast(pl.Int64, strict=False)
    )


READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
