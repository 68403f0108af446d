"""Feature views of the sequences declared in `sequences/views.py`: one array per attribute, oldest event first.

Feast registers the global variables of a module, so each view is assigned to one.
"""

from datetime import timedelta

from entities import user
from feast import FeatureView, Field
from feast.types import Array, Float32, Int64, String
from sources import event_sources

from sequences.views import SEQUENCE_VIEWS

FEAST_TYPES = {"string": Array(String), "time": Array(Int64), "order": Array(Int64), "ratio": Array(Float32)}


def build_sequence_view(name: str) -> FeatureView:
    """Feature view of the sequence with this name."""
    view = SEQUENCE_VIEWS[name]
    return FeatureView(
        name=name,
        entities=[user],
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=a.name, dtype=FEAST_TYPES[a.kind]) for a in view.attributes),
        ],
        source=event_sources[name],
        ttl=timedelta(0),
        description=f"The last {view.length} events of the user with behaviour {', '.join(view.behaviours)}.",
    )


recent_events = build_sequence_view("recent_events")
recent_clicks = build_sequence_view("recent_clicks")
recent_negatives = build_sequence_view("recent_negatives")
played_history = build_sequence_view("played_history")
exclusions = build_sequence_view("exclusions")
impressions_left = build_sequence_view("impressions_left")
