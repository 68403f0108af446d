"""Feature views: totals of a user, and sequences of events.

Feast registers the global variables of a module, so each view is assigned to one.
"""

from datetime import timedelta

from feast import FeatureView, Field
from feast.types import Array, Float32, Int64, String
from sources import event_sources, user, user_profiles

from sequences.sequence_views import SEQUENCE_VIEWS

USER_ID = Field(name="user_id", dtype=String, description="User pseudonym.")
FEAST_TYPES = {"string": Array(String), "time": Array(Int64), "order": Array(Int64), "ratio": Array(Float32)}

# Totals at midnight after each day with activity.
user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    schema=[
        USER_ID,
        Field(name="plays_total", dtype=Int64, description="Plays before that midnight."),
        Field(name="listens_total", dtype=Int64, description="Plays of at least 30 seconds."),
        Field(name="full_plays_total", dtype=Int64, description="Plays of at least 90 % of the track."),
        Field(name="skips_total", dtype=Int64, description="Plays of less than 30 seconds."),
        Field(name="tracks_total", dtype=Int64, description="Distinct tracks ever played."),
        Field(name="artists_total", dtype=Int64, description="Distinct artists ever played."),
    ],
    source=user_profiles,
    ttl=timedelta(0),
    description="Totals of a user at the last midnight (UTC) after a day with plays.",
)


def build_sequence_view(name: str) -> FeatureView:
    """Feature view of a sequence declared in `sequences/sequence_views.py`: one array per attribute, oldest event first."""
    view = SEQUENCE_VIEWS[name]
    return FeatureView(
        name=name,
        entities=[user],
        schema=[
            USER_ID,
            *(
                Field(name=one.name, dtype=FEAST_TYPES[one.kind], description=one.description)
                for one in view.attributes
            ),
        ],
        source=event_sources[name],
        ttl=timedelta(0),
        description=f"The last {view.length} events of the user with behavior {', '.join(view.behaviors)}.",
    )


recent_events = build_sequence_view("recent_events")
recent_clicks = build_sequence_view("recent_clicks")
recent_negatives = build_sequence_view("recent_negatives")
played_history = build_sequence_view("played_history")
exclusions = build_sequence_view("exclusions")
library = build_sequence_view("library")
impressions_left = build_sequence_view("impressions_left")
