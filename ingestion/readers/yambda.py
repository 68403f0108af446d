"""Yambda (Ploshkin et al., "Yambda-5B", 2025, arXiv 2505.22238): listens and likes of a streaming service, Apache-2.0.

Flat form: `multi_event.parquet`, or `listens.parquet` with `likes.parquet` and `dislikes.parquet`. Columns `uid,
timestamp` (seconds in steps of five since an undisclosed day), `item_id, is_organic`; listens have `played_ratio_pct,
track_length_seconds`, and `multi_event` has `event_type`. Get one size (`flat/50m`, `flat/500m`, `flat/5b`) from the
dataset yandex/yambda on the Hugging Face hub, put `artist_item_mapping.parquet` and `album_item_mapping.parquet` into
the same folder for artists and albums, and land the folder.

Differences from the data: day 0 is assumed to be 2024-01-01. The time of a listen is assumed to be its end, because its
played ratio is known. The data has no names; artists and albums are named by their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.readers.parsing import parquet_rows
from ingestion.readers.parsing.named_plays import MAX_EPOCH_S, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows, open_staging_database, read_staged, stage_rows
from ingestion.source_files import Member

DAY_0_S = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
ACTION_FILES = {f"{action}s.parquet": action for action in ("listen", "like", "dislike", "unlike", "undislike")}
EVENTS = ("multi_event.parquet", *ACTION_FILES)
MAPPINGS = {"artist_item_mapping.parquet": "artist_id", "album_item_mapping.parquet": "album_id"}
STAGING_TABLES = """
    create table played (track_id varchar, length_ms bigint);
    create table track_artist_id (track_id varchar, artist_id varchar);
    create table track_album_id (track_id varchar, album_id varchar);
"""
"""Played tracks with length, and the mappings, staged on disk so that memory does not grow with the catalog."""
CATALOG_QUERIES = {
    "tracks": """
        with lengths as (select track_id, max(length_ms) as duration_ms from played group by track_id),
        artists as (select track_id, list(artist_id order by artist_id) as artist_ids from track_artist_id group by track_id),
        albums as (select track_id, min(album_id) as album_id from track_album_id group by track_id)
        select track_id, duration_ms, coalesce(artist_ids, []) as artist_ids, album_id
        from lengths left join artists using (track_id) left join albums using (track_id) order by track_id""",
    "artists": """
        select distinct artist_id, 'artist ' || artist_id as name from track_artist_id
        where track_id in (select track_id from played) order by artist_id""",
    "albums": """
        select distinct album_id, 'album ' || album_id as title, []::varchar[] as artist_ids from track_album_id
        where track_id in (select track_id from played) order by album_id""",
}
LISTEN_COLUMNS = ("played_ratio_pct", "track_length_seconds")
COLUMNS = ["uid", "timestamp", "item_id", "event_type", *LISTEN_COLUMNS, *MAPPINGS.values()]
RAW = pl.concat_str(["user", "at_us", "track", "action"], separator=",", ignore_nulls=True)


def _select_files(files: list[Member]) -> list[Member]:
    selected = [member for member in files if member.file in (*EVENTS, *MAPPINGS)]
    if not any(member.file in EVENTS and _is_flat(member) for member in selected):
        return []
    # multi_event contains the rows of all other event files.
    has_multi_event = any(member.file == EVENTS[0] for member in selected)
    return [member for member in selected if not has_multi_event or member.file not in ACTION_FILES]


def _is_flat(member: Member) -> bool:
    with member.opener() as file:
        schema = pq.read_schema(file)
    return {"uid", "timestamp", "item_id"} <= set(schema.names) and pa.types.is_integer(schema.field("item_id").type)


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    plays = NamedPlays(context.scratch, "end", context.latest)
    with closing(plays), closing(open_staging_database(context.scratch, "catalog")) as catalog:
        catalog.execute(STAGING_TABLES)
        for member in files:
            mapped = MAPPINGS.get(member.file)
            required = ("item_id", mapped) if mapped else ("uid", "timestamp", "item_id")
            for rows in parquet_rows.read_file(member, COLUMNS, context, required):
                if mapped:
                    stage_rows(catalog, f"track_{mapped}", rows.select(pl.col("item_id", mapped).cast(pl.String)))
                    continue
                named = _rename_columns(member, rows)
                tracks = named.filter(pl.col("track").is_not_null()).group_by("track")
                stage_rows(catalog, "played", tracks.agg(pl.col("length_ms").max()))
                yield from plays.add(named, named.lazy().select("source_line", raw=RAW))
        yield from plays.events()
        origin = {"source_file": pl.lit(files[0].name), "source_line": pl.lit(0, pl.Int64)}
        for table, query in CATALOG_QUERIES.items():
            for staged in read_staged(catalog, table, query):
                yield Rows(table, staged.frame.with_columns(**origin))


def _rename_columns(member: Member, rows: pl.DataFrame) -> pl.DataFrame:
    """Rename columns as in `NamedPlays`, convert times to µs and ms, and add `length_ms` of the track."""
    timestamp = _number(rows, "timestamp")
    is_time = timestamp.is_between(-MAX_EPOCH_S, MAX_EPOCH_S)
    action = pl.lit(ACTION_FILES[member.file]) if member.file in ACTION_FILES else _text(rows, "event_type")
    seconds, percent = (_number(rows, name, pl.Float64) for name in ("track_length_seconds", "played_ratio_pct"))
    not_a_time = pl.format("timestamp {} is not a number of seconds", _text(rows, "timestamp").fill_null("null"))
    return rows.select(
        "source_file",
        "source_line",
        user=_text(rows, "uid"),
        at_us=pl.when(is_time).then((timestamp + DAY_0_S) * 1_000_000),
        track=_text(rows, "item_id"),
        action=action.replace("listen", "play").fill_null("null"),
        length_ms=(seconds * 1000).round().cast(pl.Int64, strict=False),
        # The ratio exceeds 100 % if parts of the track were replayed.
        played_ms=(percent * seconds * 10).round().cast(pl.Int64, strict=False),
        reason=pl.coalesce("reason", pl.when(~is_time.fill_null(False)).then(not_a_time)),
    )


def _number(rows: pl.DataFrame, name: str, data_type: type[pl.DataType] = pl.Int64) -> pl.Expr:
    """A column as numbers; null where it has none."""
    is_number = name in rows.columns and rows.schema[name].is_numeric()
    return pl.col(name).cast(data_type, strict=False) if is_number else pl.lit(None, data_type)


def _text(rows: pl.DataFrame, name: str) -> pl.Expr:
    """A column of numbers or text as text; null for other types."""
    is_single = name in rows.columns and (rows.schema[name].is_numeric() or rows.schema[name] == pl.String)
    return pl.col(name).cast(pl.String) if is_single else pl.lit(None, pl.String)


READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
