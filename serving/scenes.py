"""What differs from scene to scene: a table, no code."""

from __future__ import annotations

from dataclasses import dataclass

from training.slate.diversity import MAX_TRACKS_PER_ARTIST
from training.slate.fusion import CANDIDATES_PER_CHANNEL

TRACKS = "tracks"
EXPLORATION_RATE = 1 / 30
"""One place of a daily list of 30, and one of every tenth answer of three."""


@dataclass(frozen=True)
class Scene:
    """How one place of the product wants its answers.

    Attributes:
        limit: tracks, playlists or mlogs in an answer when the request does not say.
        most: the largest limit a request may ask for.
        of: what the answers are made of: tracks, or containers of the release by their name there. What follows, but
            `recalled`, is about tracks.
        per_artist: most tracks of one main artist in an answer.
        recalled: candidates asked of every channel: as many as fusion was fitted and evaluated on.
        ranked: fused candidates that are scored by the ranker.
        rest_days: the answer is the list of the UTC day, it stays the same, and the tracks of the lists of so many days
            before are not in it; 0: every answer is made afresh.
        rests_session: what was played or skipped in the session that goes on is not in the answer: a stream does not come back
            to a song while it lasts.
        is_diverse: whether tracks that are alike keep each other away, as strongly as the release was fitted to.
        explored: of so many places of an answer (a share) chance fills one with a new track, if there are any.
    """

    name: str
    limit: int
    max_limit: int
    item_type: str = TRACKS
    max_per_artist: int = MAX_TRACKS_PER_ARTIST
    candidates_per_channel: int = CANDIDATES_PER_CHANNEL
    max_ranked_candidates: int = 300
    repeat_cooldown_days: int = 0
    excludes_session_plays: bool = False
    is_diverse: bool = False
    exploration_rate: float = 0.0


SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene(
            name="daily",
            limit=30,
            max_limit=100,
            max_per_artist=MAX_TRACKS_PER_ARTIST,
            candidates_per_channel=CANDIDATES_PER_CHANNEL,
            max_ranked_candidates=300,
            repeat_cooldown_days=7,
            is_diverse=True,
            exploration_rate=EXPLORATION_RATE,
        ),
        Scene(
            name="private_fm",
            limit=3,
            max_limit=30,
            max_per_artist=1,
            candidates_per_channel=CANDIDATES_PER_CHANNEL,
            max_ranked_candidates=200,
            excludes_session_plays=True,
            is_diverse=True,
            exploration_rate=EXPLORATION_RATE,
        ),
        Scene(name="playlists", limit=10, max_limit=50, item_type="playlists"),
        Scene(name="mlog", limit=6, max_limit=50, item_type="mlogs"),
    )
}

SIMILAR = Scene(
    name="similar",
    limit=20,
    max_limit=100,
    max_per_artist=5,
    candidates_per_channel=CANDIDATES_PER_CHANNEL,
    max_ranked_candidates=300,
)
"""What is asked about a track and not for a user; it has an address of its own."""
