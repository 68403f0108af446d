"""Anybody's CSV or TSV of plays, with `segue-mapping.yaml` beside it that says what the columns mean (`mapping.py`)."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers import delimited, mapping
from ingestion.readers.mapping import Mapping
from ingestion.readers.named_plays import EVENTS, NamedPlays
from ingestion.readers.reading import Reader, Reading, Rows
from ingestion.sources import Member, SourceError

WITHIN_S = 10_000_000_000
"""Seconds since 1970 that can be computed with; what lies beyond fails the contract by its value."""


def _finds(files: list[Member]) -> list[Member]:
    return [member for member in files if member.file == mapping.FILE] and list(files)


def _read(files: list[Member], reading: Reading) -> Iterator[Rows]:
    says = [member for member in files if member.file == mapping.FILE]
    if len(says) > 1:
        raise SourceError(
            f"{', '.join(one.name for one in says)}: only one mapping a folder; land each folder by itself"
        )
    mapped = mapping.read(says[0].read(reading.watch), says[0].name)
    meant = [member for member in files if mapped.is_of(member.name) or mapped.is_of(member.file)]
    if not meant:
        raise SourceError(f"{says[0].name} is about {mapped.file}, and no file here is called so")
    yield from read(meant, mapped, reading)


def read(files: list[Member], mapped: Mapping, reading: Reading) -> Iterator[Rows]:
    """Events, tracks, artists and albums of delimited files whose columns are known."""
    plays = NamedPlays(reading.scratch, mapped.means)
    wanted = list(dict.fromkeys(mapped.columns.values()))
    raw = pl.concat_str(wanted, separator=mapped.delimiter)
    try:
        for member in files:
            for rows, broken in delimited.stream(member, mapped.delimiter, wanted, reading.watch, mapped.header):
                if broken.height:
                    yield Rows(EVENTS, broken.with_columns(source_file=pl.lit(member.name)))
                if rows.height:
                    yield from plays.add(_named(rows, mapped, member), rows.lazy().select("source_line", raw=raw))
        yield from plays.events()
        yield from plays.catalogue()
    finally:
        plays.close()


def _named(rows: pl.DataFrame, mapped: Mapping, member: Member) -> pl.DataFrame:
    """The rows by what their columns mean, "" as null, and `at_us`, `played_ms`, `action`, `reason`."""
    given = {key: pl.col(column).str.strip_chars() for key, column in mapped.columns.items()}
    named = rows.select(
        "source_line",
        *(pl.when(column != "").then(column).alias(key) for key, column in given.items()),
        source_file=pl.lit(member.name),
    )
    missing = [pl.lit(None, pl.String).alias(key) for key in mapping.COLUMNS if key not in given]
    named = named.with_columns(missing)
    action = pl.col("action").replace(dict(mapped.actions)) if "action" in given else pl.lit("play")
    played = pl.col("played").cast(pl.Float64, strict=False) * (1000 if mapped.played == "s" else 1)
    named = named.with_columns(at_us=_time(mapped), action=action.fill_null("play"), played_ms=played.round())
    problems = {
        "time is missing": pl.col("time").is_null(),
        f"time is not {'ISO 8601' if mapped.time == 'iso' else f'a number of {mapped.time} since 1970'}": pl.col(
            "at_us"
        ).is_null(),
        "played is not a number": pl.col("played").is_not_null() & pl.col("played_ms").is_null(),
    }
    reason = pl.coalesce(pl.when(is_so).then(pl.lit(why)) for why, is_so in problems.items())
    return named.with_columns(reason=reason, played_ms=pl.col("played_ms").cast(pl.Int64, strict=False))


def _time(mapped: Mapping) -> pl.Expr:
    """µs since 1970."""
    if mapped.time == "iso":
        iso = pl.col("time").str.replace(" ", "T", literal=True).str.replace(r"[zZ]$", "+00:00")
        zoned = pl.when(iso.str.contains(r"[+-]\d\d:?\d\d$")).then(iso).otherwise(iso + "+00:00")
        forms = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z")
        return pl.coalesce(
            zoned.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in forms
        ).dt.epoch("us")
    number = pl.col("time").cast(pl.Float64, strict=False) / (1000 if mapped.time == "ms" else 1)
    return pl.when(number.is_between(-WITHIN_S, WITHIN_S)).then((number * 1e6).round().cast(pl.Int64, strict=False))


READER = Reader(finds=_finds, read=_read, period="month", split="global_time")
