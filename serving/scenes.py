"""What differs from scene to scene: a table, no code."""

from __future__ import annotations

from dataclasses import dataclass

from training.fusion import RECALLED
from training.selection import PER_ARTIST

TRACKS = "tracks"
EXPLORED = 1 / 30
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
    most: int
    of: str = TRACKS
    per_artist: int = PER_ARTIST
    recalled: int = RECALLED
    ranked: int = 300
    rest_days: int = 0
    rests_session: bool = False
    is_diverse: bool = False
    explored: float = 0.0


SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene(
            name="daily",
            limit=30,
            most=100,
            per_artist=PER_ARTIST,
            recalled=RECALLED,
            ranked=300,
            rest_days=7,
            is_diverse=True,
            explored=EXPLORED,
        ),
        Scene(
            name="private_fm",
            limit=3,
            most=30,
            per_artist=1,
            recalled=RECALLED,
            ranked=200,
            rests_session=True,
            is_diverse=True,
            explored=EXPLORED,
        ),
        Scene(name="playlists", limit=10, most=50, of="playlists"),
        Scene(name="mlog", limit=6, most=50, of="mlogs"),
    )
}

SIMILAR = Scene(name="similar", limit=20, most=100, per_artist=5, recalled=RECALLED, ranked=300)
"""What is asked about a track and not for a user; it has an address of its own."""
