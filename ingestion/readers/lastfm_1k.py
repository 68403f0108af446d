"""Last.fm Dataset - 1K users (Celma 2010): scrobbles of 992 users until May 2009, for non-commercial use.

`userid-timestamp-artid-artname-traid-traname.tsv` has no header: user, start of the play (ISO 8601), MusicBrainz id and
name of the artist, MusicBrainz id and name of the track; the ids may be empty. Get `lastfm-dataset-1K.tar.gz` from
ocelma.net/MusicRecommendationDataset, unpack it and land the folder. The user profiles (age, country) are not read. The
file is not sorted by time; scrobbles have no duration (see `NamedPlays`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ingestion.readers import mapped_csv
from ingestion.readers.parsing.column_mapping import ColumnMapping
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

NAME = "userid-timestamp-artid-artname-traid-traname.tsv"
MAPPING = ColumnMapping(
    file=NAME,
    columns={
        "user": "user",
        "time": "time",
        "artist_id": "artist_id",
        "artist": "artist",
        "track": "track",
        "title": "title",
    },
    header=["user", "time", "artist_id", "artist", "track", "title"],
    delimiter="\t",
)


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if MAPPING.matches(member.file)]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    yield from mapped_csv.read_mapped_files(files, MAPPING, context)


READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
