"""A small version of the data of Feast's universal offline-store tests: drivers, customers, orders, places, globals.

Feast keeps it in `sdk/python/tests/integration/feature_repos` of its repository (not in its wheel). Rows are random with
a fixed seed; what each entity row should get is `expected`, which looks at every row of a view.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd
from feast import Entity, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view
from feast.types import Float64, Int64, String

from tests.support.sequences.feast_stores import repo_config, sqlite_online_store

NOW = datetime(2024, 5, 1, tzinfo=UTC)

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
customer = Entity(name="customer_id", value_type=ValueType.STRING)
location = Entity(name="location", join_keys=["location_id"], value_type=ValueType.INT64)


@dataclass
class Universal:
    """A view with its rows; `keys` are the join keys, `mapping` renames columns of the file, also its times."""

    name: str
    frame: pd.DataFrame
    entities: tuple[Entity, ...]
    keys: tuple[str, ...]
    features: dict[str, Any]
    time_to_live: timedelta
    mapping: dict[str, str]

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return plain(self.frame)

    def view(self, folder: Path) -> FeatureView:
        """The Feast view over a file of the rows."""
        path = folder / f"{self.name}.parquet"
        of_file = self.frame.rename(columns={new: old for old, new in self.mapping.items()})
        of_file.to_parquet(path, coerce_timestamps="us")  # Spark cannot read nanoseconds
        return FeatureView(
            name=self.name,
            entities=list(self.entities),
            schema=[Field(name=name, dtype=dtype) for name, dtype in self.features.items()],
            source=FileSource(
                name=f"{self.name}_source",
                path=str(path),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
                field_mapping=self.mapping,
            ),
            ttl=self.time_to_live,
        )

    def expected(self, row: dict[str, Any], feature: str, keys: dict[str, str] | None = None) -> Any:
        """The expected value: the newest one that has not expired at the row's time; of equal times, the one created last."""
        keys = keys or {key: key for key in self.keys}
        column = {new: old for old, new in self.mapping.items()}.get(feature, feature)
        best, time = None, row["event_timestamp"]
        for known in self._rows:
            is_same = all(known[key] == row[mine] for key, mine in keys.items())
            age = time - known["event_timestamp"]
            is_alive = not self.time_to_live or age <= self.time_to_live
            moment = (known["event_timestamp"], known["created"])
            if is_same and timedelta(0) <= age and is_alive and (best is None or moment > best[0]):
                best = (moment, known[column])
        return None if best is None else best[1]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with plain datetimes, because comparing pandas timestamps is slow."""
    return [
        {name: getattr(value, "to_pydatetime", lambda v=value: v)() for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def world() -> dict[str, Universal]:
    """Every view, by name."""
    random = np.random.default_rng(11)
    day = timedelta(days=1)

    def frame(count: int, **columns: Any) -> pd.DataFrame:
        times = [NOW - timedelta(minutes=30 * int(n)) for n in random.integers(0, 150, count)]
        late = [timedelta(minutes=int(n)) for n in random.permutation(count)]  # distinct, so that there are no ties
        return pd.DataFrame(
            {
                "event_timestamp": times,
                "created": [time + delay for time, delay in zip(times, late, strict=True)],
                **{name: random.choice(values, count) for name, values in columns.items()},
            }
        )

    drivers, customers = [5001, 5002, 5003], ["c1", "c2", "c3", "c4"]
    rate, number = random.random(1000), np.arange(1000)
    views = [
        Universal(
            "driver_stats",
            frame(80, driver_id=drivers, conv_rate=rate, avg_daily_trips=number),
            (driver,),
            ("driver_id",),
            {"driver_id": Int64, "conv_rate": Float64, "avg_daily_trips": Int64},
            day / 24,
            {},
        ),
        Universal(
            "customer_profile",
            frame(80, customer_id=customers, current_balance=rate, lifetime_trip_count=number),
            (customer,),
            ("customer_id",),
            {"customer_id": String, "current_balance": Float64, "lifetime_trip_count": Int64},
            2 * day,
            {"ts_1": "event_timestamp", "created_1": "created"},
        ),
        Universal(
            "order",
            frame(80, customer_id=customers, driver_id=drivers, order_is_success=[0, 1]),
            (driver, customer),
            ("customer_id", "driver_id"),
            {"driver_id": Int64, "customer_id": String, "order_is_success": Int64},
            day,
            {},
        ),
        Universal(
            "location",
            frame(60, location_id=[1, 2, 3], temperature=number),
            (location,),
            ("location_id",),
            {"location_id": Int64, "temperature": Int64},
            2 * day,
            {},
        ),
        Universal("global_stats", frame(40, num_rides=number), (), (), {"num_rides": Int64}, day, {}),
        Universal(
            "field_mapping",
            frame(40, column_name=number),
            (),
            (),
            {"feature_name": Int64},
            2 * day,
            {"column_name": "feature_name"},
        ),
    ]
    return {view.name: view for view in views}


def entity_rows(count: int = 60) -> pd.DataFrame:
    """Entity rows: some unknown entities, equal and unsorted times."""
    random = np.random.default_rng(12)
    return pd.DataFrame(
        {
            "order_id": np.arange(count),
            "driver_id": random.choice([5001, 5002, 5003, 9999], count),
            "customer_id": random.choice(["c1", "c2", "c3", "c4", "unknown_user"], count),
            "origin_id": random.choice([1, 2, 3], count),
            "destination_id": random.choice([1, 2, 3, 4], count),
            "event_timestamp": [NOW - timedelta(minutes=30 * int(n)) for n in random.integers(-20, 160, count)],
        }
    )


def on_demand(driver_view: FeatureView) -> OnDemandFeatureView:
    """`conv_rate_plus_100`: computed from a stored feature and from request data."""
    request = RequestSource(name="conv_rate_input", schema=[Field(name="val_to_add", dtype=Int64)])

    @on_demand_feature_view(
        sources=[driver_view, request],
        schema=[
            Field(name="conv_rate_plus_100", dtype=Float64),
            Field(name="conv_rate_plus_val_to_add", dtype=Float64),
        ],
        mode="pandas",
    )
    def conv_rate_plus_100(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "conv_rate_plus_100": inputs["conv_rate"] + 100,
                "conv_rate_plus_val_to_add": inputs["conv_rate"] + inputs["val_to_add"],
            }
        )

    return conv_rate_plus_100


def open_world(
    folder: Path, engine: dict[str, Any] | None = None
) -> tuple[feast.FeatureStore, dict[str, Universal], dict[str, FeatureView]]:
    """A store with the offline store of `engine` (DuckDB by default) and every view applied."""
    universals = world()
    duckdb = {"type": "sequences.offline.duckdb_store.SequenceOfflineStore", "staging_location": str(folder / "staged")}
    store = feast.FeatureStore(
        config=repo_config(folder, sqlite_online_store(folder), engine or {"offline_store": duckdb})
    )
    views = {name: universal.view(folder) for name, universal in universals.items()}
    store.apply([driver, customer, location, *views.values(), on_demand(views["driver_stats"])])
    return store, universals, views
