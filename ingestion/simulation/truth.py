"""The latent truth of a simulated world: what a model should find, for tests only. Landing never reads it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import contract
from ingestion.simulation import facets
from ingestion.simulation.catalog import make_ids
from ingestion.simulation.event_buffer import Columns
from ingestion.simulation.exposures import EXPLORATION_SHARE
from ingestion.simulation.outcomes import ACTION, examination
from ingestion.simulation.rows import RowWriter
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import World

INTEREST_INTERVAL_DAYS = 7  # the drifting interests are written once a week


def build_tables(world: World, listeners: SimulatedUsers, writer: RowWriter) -> dict[str, pa.Table]:
    """What does not change: interests, each track's interest and quality, each user's loved work, the position bias."""
    K, W = world.interests, len(world.tracks_WL)
    language = [facets.LANGUAGES[language] for language in world.language_K]
    style = [facets.STYLES[style] for style in world.style_K]
    work_U = listeners.work_U
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


def build_user_interests(listeners: SimulatedUsers, writer: RowWriter, day: date) -> pa.Table:
    """Interests and their shares on a day, one row a user and interest; absent interests have none."""
    weights_UI = listeners.interest_weights()
    user, place = np.nonzero(weights_UI > 0)
    return pa.table(
        {
            "day": pa.repeat(pa.scalar(day), len(user)),
            "user_id": writer.user_ids.take(pa.array(user)),
            "interest": listeners.interest_UI[user, place],
            "share": weights_UI[user, place],
        }
    )


def build_events(columns: Columns, writer: RowWriter, number: int) -> pa.Table:
    """Affinity and mood behind each impression, click and play, by event_id."""
    told = np.isin(columns["action"], [ACTION[name] for name in ("impression", "click", "play")])
    told &= columns["target_type"] == contract.TARGET_TYPES.index("track")
    emotions = pa.array(facets.EMOTIONS)
    return pa.table(
        {
            "event_id": pc.filter(writer.event_ids(len(told), number), pa.array(told)),
            "affinity": columns["affinity"][told],
            "mood_interest": columns["mood_interest"][told],
            "mood_emotion": emotions.take(pa.array(columns["mood_emotion"][told])),
        }
    )
