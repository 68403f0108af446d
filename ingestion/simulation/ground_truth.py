"""Ground truth of a simulation: latent variables that a model should recover. For tests only; landing ignores it.

A simulated catalog without what says how a track sounds: for models that must learn it from audio, cover and text.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from event_store.behaviors import TARGET_TYPES
from ingestion.simulation import facets
from ingestion.simulation.catalog_rows import make_ids
from ingestion.simulation.event_buffer import Columns, RowWriter
from ingestion.simulation.exposures import EXPLORATION_SHARE
from ingestion.simulation.outcomes import ACTION, examination
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import World

INTEREST_INTERVAL_DAYS = 7  # the drifting interests are written weekly


TRACK_COLUMNS = ("title", "language", "styles", "scenes", "emotions", "themes", "audio_vector", "image_vector")
NAMES = {
    "artists": ("artist_id", "name"),
    "albums": ("album_id", "title"),
    "playlists": ("playlist_id", "title"),
    "mlogs": ("mlog_id", "title"),
}
"""Tables with names, which become the id."""


def build_tables(world: World, users: SimulatedUsers, writer: RowWriter) -> dict[str, pa.Table]:
    """Constant variables: interests, interest and quality of tracks, favorite work of users, position bias."""
    K, W = world.interests, len(world.tracks_WL)
    language = [facets.LANGUAGES[language] for language in world.language_K]
    style = [facets.STYLES[style] for style in world.style_K]
    work_U = users.work_U
    position = np.arange(32)
    track_ids = np.array(make_ids("track", world.tracks), object)
    return {
        "interests": pa.table({"interest": np.arange(K), "language": language, "style": style}),
        "tracks": pa.table({"track_id": track_ids, "interest": world.interest_V, "quality": world.quality_V}),
        "users": pa.table({"user_id": writer.user_ids, "work": pa.array(work_U, mask=work_U < 0)}),
        "works": pa.table(
            {"work": np.arange(W), "track_ids": pa.array([list(track_ids[row]) for row in world.tracks_WL])}
        ),
        "positions": pa.table({"position": position, "examination": examination(position)}),
        "policy": pa.table({"explore": [EXPLORATION_SHARE]}),
    }


def build_user_interests(users: SimulatedUsers, writer: RowWriter, day: date) -> pa.Table:
    """Weights of the interests on a day, one row per user and interest; absent interests have no row."""
    weights_UI = users.interest_weights()
    user, place = np.nonzero(weights_UI > 0)
    return pa.table(
        {
            "day": pa.repeat(pa.scalar(day), len(user)),
            "user_id": writer.user_ids.take(pa.array(user)),
            "interest": users.interest_UI[user, place],
            "share": weights_UI[user, place],
        }
    )


def build_events(columns: Columns, writer: RowWriter, number: int) -> pa.Table:
    """Affinity and mood of each impression, click and play of a track, by event_id."""
    is_included = np.isin(columns["action"], [ACTION[name] for name in ("impression", "click", "play")])
    is_included &= columns["target_type"] == TARGET_TYPES.index("track")
    emotions = pa.array(facets.EMOTIONS)
    return pa.table(
        {
            "event_id": pc.filter(writer.event_ids(len(is_included), number), pa.array(is_included)),
            "affinity": columns["affinity"][is_included],
            "mood_interest": columns["mood_interest"][is_included],
            "mood_emotion": emotions.take(pa.array(columns["mood_emotion"][is_included])),
        }
    )


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
