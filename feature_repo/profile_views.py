"""Ordinary views: what is known of a user and of a track at midnight after each day with activity."""

from datetime import timedelta

from entities import track, user
from feast import FeatureView, Field
from feast.types import Int64, String
from sources import track_statistics_by_day, user_profiles

user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="plays_total", dtype=Int64, description="Plays until then."),
        Field(name="listens_total", dtype=Int64, description="Plays of at least 30 seconds."),
        Field(name="full_plays_total", dtype=Int64),
        Field(name="skips_total", dtype=Int64),
        Field(name="tracks_total", dtype=Int64, description="Distinct tracks ever played."),
        Field(name="artists_total", dtype=Int64, description="Distinct artists ever played."),
    ],
    source=user_profiles,
    ttl=timedelta(0),
)

track_statistics = FeatureView(
    name="track_statistics",
    entities=[track],
    schema=[
        Field(name="track_id", dtype=String),
        Field(name="plays_total", dtype=Int64),
        Field(name="listens_total", dtype=Int64),
        Field(name="full_plays_total", dtype=Int64),
        Field(name="skips_total", dtype=Int64),
        Field(name="likes_total", dtype=Int64),
        Field(name="plays_7d", dtype=Int64, description="Plays in the 7 days that end then."),
        Field(name="plays_28d", dtype=Int64, description="Plays in the 28 days that end then."),
    ],
    source=track_statistics_by_day,
    ttl=timedelta(0),
    # Tracks are features of candidates, hundreds a request: serving holds them in process.
    online=False,
)
