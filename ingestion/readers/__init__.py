"""Registry of the log readers: one file per format and one line in this table."""

from ingestion.readers import (
    artist_genres,
    lastfm_1k,
    listenbrainz,
    mapped_csv,
    music_folder,
    own_events,
    play_log,
    streaming_history,
    thirty_music,
    yambda,
)
from ingestion.readers.parsing.reader import Reader

READERS: dict[str, Reader] = {
    "own_events": own_events.READER,
    "play_log": play_log.READER,
    "streaming_history": streaming_history.READER,
    "artist_genres": artist_genres.READER,
    "lastfm_1k": lastfm_1k.READER,
    "listenbrainz": listenbrainz.READER,
    "mapped_csv": mapped_csv.READER,
    "music_folder": music_folder.READER,
    "yambda": yambda.READER,
    "thirty_music": thirty_music.READER,
}
