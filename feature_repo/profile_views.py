"""Ordinary feature views: totals of a user at midnight after each day with activity."""

from datetime import timedelta

from entities import user
from feast import FeatureView, Field
from feast.types import Int64, String
from sources import user_profiles

user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="plays_total", dtype=Int64, description="Plays before that midnight."),
        Field(name="listens_total", dtype=Int64, description="Plays of at least 30 seconds."),
        Field(name="full_plays_total", dtype=Int64),
        Field(name="skips_total", dtype=Int64),
        Field(name="tracks_total", dtype=Int64, description="Distinct tracks ever played."),
        Field(name="artists_total", dtype=Int64, description="Distinct artists ever played."),
    ],
    source=user_profiles,
    ttl=timedelta(0),
)
