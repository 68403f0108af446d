"""Describes the media of the simulated tracks, from which previews and covers are rendered."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.simulation import facets
from ingestion.simulation.catalog_rows import make_ids
from ingestion.simulation.world import World
from media.track_description import TrackDescription


def describe_tracks(world: World, titles: Sequence[str], seed: int) -> dict[str, TrackDescription]:
    """Descriptions by track id."""
    return {
        track_id: TrackDescription(
            seed=seed,
            recording=f"r{world.recording_V[track]}",
            artist=f"a{world.artist_V[track]}",
            album=f"l{world.album_V[track]}",
            title=titles[track],
            language=facets.LANGUAGES[world.language_K[world.interest_V[track]]],
            style=facets.STYLES[world.style_K[world.interest_V[track]]],
            emotions=tuple(
                name for name, is_set in zip(facets.EMOTIONS, world.emotions_VE[track].tolist(), strict=True) if is_set
            ),
        )
        for track, track_id in enumerate(make_ids("track", world.tracks))
    }
