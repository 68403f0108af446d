"""`artist_genre.tsv`: curated triples of artists and their genres, by artist name.

Columns `artist_name, relation (or has_genre), genre_or_tag, sources`. The head of a triple is `artist_name:<name>`; dbt
replaces names by artist ids, because it knows the whole catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from ingestion.readers.parsing import delimited
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

DEFAULT_RELATION = "has_genre"


def _select_files(files: list[Member]) -> list[Member]:
    required = {"artist_name", "genre_or_tag"}
    return [
        member
        for member in files
        if member.file.endswith((".tsv", ".tsv.gz")) and required <= set(delimited.read_header(member, "\t"))
    ]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        relation = [name for name in ("relation", "has_genre") if name in delimited.read_header(member, "\t")]
        columns = ["artist_name", *relation[:1], "genre_or_tag"]
        for rows, broken in delimited.stream_blocks(member, "\t", columns, context.report_progress):
            yield Rows("knowledge_triples", broken, unparsable=broken.height)
            yield Rows("knowledge_triples", _triples(rows, relation[:1]))


def _triples(rows: pl.DataFrame, relation: Sequence[str]) -> pl.DataFrame:
    artist, genre = pl.col("artist_name").str.strip_chars(), pl.col("genre_or_tag").str.strip_chars()
    edge = pl.when(pl.col(relation[0]) != "").then(pl.col(relation[0])) if relation else pl.lit(None, pl.String)
    return rows.select(
        head=pl.when(artist != "").then("artist_name:" + artist),
        relation=edge.fill_null(DEFAULT_RELATION),
        tail=pl.when(genre != "").then("genre:" + genre),
        source_line="source_line",
        source_file="source_file",
    )


READER = Reader(select_files=_select_files, read=_read, period="month", split=None)
