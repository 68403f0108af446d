"""A simulated catalog without what says how a track sounds: for models that must learn it from audio, cover and text."""

from __future__ import annotations

import pyarrow as pa

TRACK_COLUMNS = ("title", "language", "styles", "scenes", "emotions", "themes", "audio_vector", "image_vector")
NAMES = {
    "artists": ("artist_id", "name"),
    "albums": ("album_id", "title"),
    "playlists": ("playlist_id", "title"),
    "mlogs": ("mlog_id", "title"),
}
"""Tables with names, which become the id."""


def hide_facets(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The catalog tables with null in TRACK_COLUMNS and ids as names; lyrics, comments and media paths stay."""
    hidden = dict(tables)
    for column in TRACK_COLUMNS:
        hidden["tracks"] = _replace(hidden["tracks"], column, None)
    for table, (key, name) in NAMES.items():
        hidden[table] = _replace(hidden[table], name, tables[table][key])
    return hidden


def _replace(table: pa.Table, column: str, values: pa.ChunkedArray | None) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.nulls(len(table), field.type) if values is None else values)
