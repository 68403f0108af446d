"""Tracks, artists and albums as the plays of a source name them, each as it was named first.

Staged in DuckDB, which spills to disk: memory does not grow with the log. Knows nothing about formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from ingestion.readers.parsing.reader import Rows
from ingestion.readers.parsing.staging import BATCH_ROWS, open_staging_database

CATALOG_COLUMNS = (
    "track_id",
    "by_name",
    "title",
    "artist_id",
    "artist",
    "album_id",
    "album",
    "audio_url",
    "source_file",
    "source_line",
)
ARTIST_IDS_SQL = "case when artist_id is null then []::varchar[] else [artist_id] end"
CATALOG_TABLES = {
    "tracks": ("track_id", f"by_name as recording_id, title, {ARTIST_IDS_SQL} as artist_ids, album_id, audio_url"),
    "artists": ("artist_id", "artist as name"),
    "albums": ("album_id", f"album as title, {ARTIST_IDS_SQL} as artist_ids"),
}
REQUIRED_COLUMNS = {"tracks": "track_id", "artists": "artist", "albums": "album"}


class NamedCatalog:
    """Collects named plays block by block, then gives the rows of the three tables."""

    def __init__(self, scratch: Path) -> None:
        self._connection = open_staging_database(scratch, "names")
        kinds = ", ".join(f"{name} {'bigint' if name == 'source_line' else 'varchar'}" for name in CATALOG_COLUMNS)
        self._connection.execute(f"create table named ({kinds}, number bigint)")
        self._blocks = 0

    def add(self, plays: pl.DataFrame) -> None:
        """Plays in source order with COLUMNS, null where the source says nothing; few sources know an `audio_url`."""
        if "audio_url" not in plays.columns:
            plays = plays.with_columns(audio_url=pl.lit(None, pl.String))
        once = plays.select(CATALOG_COLUMNS).unique(list(CATALOG_COLUMNS[:7]), keep="first", maintain_order=True)
        block = once.with_columns(number=pl.lit(self._blocks << 32) + pl.int_range(pl.len())).to_arrow()  # noqa: F841
        self._connection.execute("insert into named select * from block")
        self._blocks += 1

    def rows(self) -> Iterator[Rows]:
        """Contract rows, ordered by id."""
        for table, (key, values) in CATALOG_TABLES.items():
            is_named = f"{REQUIRED_COLUMNS[table]} is not null and {key} is not null"
            is_first = f"row_number() over (partition by {key} order by number) = 1"
            query = f"select {key}, {values}, source_file, source_line from named where {is_named} qualify {is_first} order by {key}"  # noqa: S608
            for batch in self._connection.execute(query).to_arrow_reader(BATCH_ROWS):
                yield Rows(table, pl.DataFrame(pa.Table.from_batches([batch])))

    def close(self) -> None:
        self._connection.close()
