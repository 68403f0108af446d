"""Anybody's CSV or TSV of plays, with `segue-mapping.yaml` beside it that says what the columns mean (`mapping.py`)."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers import delimited, mapping
from ingestion.readers.beginnings import Beginnings
from ingestion.readers.endings import Endings
from ingestion.readers.mapping import Mapping
from ingestion.readers.named_catalogue import NamedCatalogue
from ingestion.readers.names import name_id
from ingestion.readers.reading import Reader, Reading, Rows
from ingestion.sources import Member, SourceError
from ingestion.validation import conform

WITHIN_S = 10_000_000_000
"""Seconds since 1970 that can be computed with; what lies beyond fails the contract by its value."""
EVENTS = "listening_events"


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
    staged = Endings(reading.scratch) if mapped.means == "end" else Beginnings(reading.scratch)
    catalogue = NamedCatalogue(reading.scratch)
    try:
        for member in files:
            wanted = list(dict.fromkeys(mapped.columns.values()))
            for rows, broken in delimited.stream(member, mapped.delimiter, wanted, reading.watch, mapped.header):
                if broken.height:
                    yield Rows(EVENTS, broken.with_columns(source_file=pl.lit(member.name)))
                if rows.height:
                    yield from _staged(_named(rows, mapped, member), rows, mapped, staged, catalogue)
        yield from staged.events()
        yield from catalogue.rows()
    finally:
        staged.close()
        catalogue.close()


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
        "user is missing": pl.col("user").is_null(),
        "time is missing": pl.col("time").is_null(),
        f"time is not {'ISO 8601' if mapped.time == 'iso' else f'a number of {mapped.time} since 1970'}": pl.col(
            "at_us"
        ).is_null(),
        "no track: neither a track id nor a title and an artist": pl.col("track").is_null()
        & (pl.col("title").is_null() | pl.col("artist").is_null()),
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


def _staged(
    named: pl.DataFrame,
    rows: pl.DataFrame,
    mapped: Mapping,
    staged: Endings | Beginnings,
    catalogue: NamedCatalogue,
) -> Iterator[Rows]:
    """Stages what is good and gives what is not, to be quarantined."""
    named = _identified(named)
    if isinstance(staged, Endings):
        others = named.filter(pl.col("reason").is_null() & (pl.col("action") != "play"))
        plays = named.filter(pl.col("reason").is_not_null() | (pl.col("action") == "play"))
        rejected = staged.add(
            plays.select(
                pl.col("user").alias("user_id"),
                pl.col("at_us").alias("ended_at"),
                "track_id",
                "played_ms",
                "source_file",
                "source_line",
                "reason",
            )
        )
        good = named.join(rejected.select("source_line"), on="source_line", how="anti")
        if others.height:
            yield Rows(EVENTS, _events(others))
    else:
        checked = conform(EVENTS, _events(named))["reason"]
        named = named.with_columns(reason=pl.coalesce(pl.col("reason"), checked))
        rejected, good = named.filter(pl.col("reason").is_not_null()), named.filter(pl.col("reason").is_null())
        staged.add(good.rename({"user": "user_id", "at_us": "began_us"}))
    catalogue.add(good)
    if rejected.height:
        text = rows.select(
            "source_line", raw=pl.concat_str(list(dict.fromkeys(mapped.columns.values())), separator=mapped.delimiter)
        )
        yield Rows(EVENTS, rejected.select("source_file", "source_line", "reason").join(text, on="source_line"))


def _identified(named: pl.DataFrame) -> pl.DataFrame:
    """With `track_id`, `by_name` and the ids of artist and album, made of names where the source has none."""

    def ids(*columns: str) -> pl.DataFrame:
        names = named.select(columns).unique().drop_nulls()
        return names.with_columns(pl.Series("id", [name_id(*row) for row in names.iter_rows()], pl.String))

    named = named.join(
        ids("artist", "title").rename({"id": "by_name"}), on=["artist", "title"], how="left", maintain_order="left"
    )
    named = named.join(ids("artist").rename({"id": "of_artist"}), on="artist", how="left", maintain_order="left")
    named = named.join(
        ids("artist", "album").rename({"id": "album_id"}), on=["artist", "album"], how="left", maintain_order="left"
    )
    return named.with_columns(track_id=pl.coalesce("track", "by_name"), artist_id=pl.coalesce("artist_id", "of_artist"))


def _events(named: pl.DataFrame) -> pl.DataFrame:
    """Rows as events that take no time; for plays, to be checked by the contract."""
    is_play = pl.col("action") == "play"
    return named.select(
        event_id=pl.concat_str(["user", "at_us", "track_id", "action"], separator="|", ignore_nulls=True).map_elements(
            name_id, return_dtype=pl.String
        ),
        user_id="user",
        sequence_number=pl.col("source_line").cast(pl.Int64),
        target_type=pl.lit("track"),
        target_id="track_id",
        occurred_at="at_us",
        ended_at="at_us",
        action="action",
        played_ms=pl.when(is_play).then(pl.col("played_ms").fill_null(0)),
        source_file="source_file",
        source_line="source_line",
    )


READER = Reader(finds=_finds, read=_read, period="month", split="global_time")
