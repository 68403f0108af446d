"""Registry of the log readers: one file per format and one line in this table."""

from ingestion.readers import (
    artist_genres,
    listenbrainz,
    mapped_csv,
    music_folder,
    own_events,
    streaming_history,
    subsonic,
    thirty_music,
    yambda,
)
from ingestion.readers.parsing.reader import Reader

READERS: dict[str, Reader] = {
    "own_events": own_events.READER,
    "play_log": mapped_csv.READERS["play_log"],
    "streaming_history": streaming_history.READER,
    "artist_genres": artist_genres.READER,
    "lastfm_export": mapped_csv.READERS["lastfm_export"],
    "lastfm_1k": mapped_csv.READERS["lastfm_1k"],
    "listenbrainz": listenbrainz.READER,
    "mapped_csv": mapped_csv.READERS["mapped_csv"],
    "music_folder": music_folder.READER,
    "subsonic": subsonic.READER,
    "yambda": yambda.READER,
    "thirty_music": thirty_music.READER,
}
