"""The sequence views, as declared in `sequences/definition.py`: one array an attribute, oldest event first."""

from datetime import timedelta

from entities import user
from feast import FeatureView, Field
from feast.types import Array, Float32, Int64, String
from sources import event_sources

from sequences.definition import SEQUENCE_VIEWS

TYPE_OF_KIND = {"string": Array(String), "time": Array(Int64), "ratio": Array(Float32)}

sequence_views = {
    name: FeatureView(
        name=name,
        entities=[user],
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=a.name, dtype=TYPE_OF_KIND[a.kind]) for a in view.attributes),
        ],
        source=event_sources[name],
        ttl=timedelta(0),
        description=f"The last {view.length} events of the user with behaviour {', '.join(view.behaviours)}.",
    )
    for name, view in SEQUENCE_VIEWS.items()
}
