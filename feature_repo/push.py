"""Live events: one row per user with the newest events, which the marts may not contain yet.

Only the single writer of a user (`sequences/online/reader_writer.py`) pushes rows; the row's timestamp is the time of
the write, not of an event. Readers merge the row with the batch part of each sequence. There is no offline data: live
events reach the marts through the landing zone.
"""

from datetime import timedelta

from entities import user
from feast import FeatureView, Field, PushSource
from feast.types import String
from sequence_views import FEAST_TYPES
from sources import event_sources

from sequences.views import LIVE_ATTRIBUTES, LIVE_SOURCE

live_source = PushSource(name=LIVE_SOURCE, batch_source=event_sources["recent_events"])

live_events = FeatureView(
    name=LIVE_SOURCE,
    entities=[user],
    schema=[
        Field(name="user_id", dtype=String),
        *(Field(name=a.name, dtype=FEAST_TYPES[a.kind]) for a in LIVE_ATTRIBUTES),
    ],
    source=live_source,
    ttl=timedelta(0),
)
