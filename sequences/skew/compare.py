"""Training/serving skew: comparison of the features that requests read online with those of the offline store.

The offline features are read for the users and times of logged requests (`get_historical_features` with the views of the
same feature service) and compared element by element. **Skew** is a difference without an acceptable cause. Differences
with a cause (`sequences/skew/causes.py`) and requests that cannot be compared are reported separately:

- `late`: an event happened before the request but arrived after it. Without it the values are equal.
- `early`: an event that was read is dated after the request by its device's clock. Without it the values are equal.
- `stale`: a daily profile is known from midnight but reaches the online store with the next materialization.
- `restated`: a track length is estimated from plays and changes daily, and ratios of it change accordingly.
- `pending`: the request read an event that is not landed yet. Not compared.
- `unread`: the online store did not respond and the models got no features. Not compared.
- `removed`: the feature was removed from the feature service since the request. Not compared.

Independent of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from event_store.store import EventStore
from sequences.online.reader_writer import FEATURE_SERVICE
from sequences.skew.causes import Difference, SkewClassifier
from sequences.skew.feature_log import FeatureLists, LoggedRequest, nan_to_none

if TYPE_CHECKING:
    from feast import FeatureStore

REQUESTS_PER_BATCH = 256
MAX_EXAMPLES = 20


@dataclass
class SkewReport:
    """Counts of compared requests and values, by outcome."""

    requests: int = 0  # requests, all
    compared: int = 0  # requests that were compared
    values: int = 0  # values that were compared
    unequal: int = 0  # values with skew
    late: int = 0  # requests with late events
    early: int = 0  # requests with early events
    stale: int = 0  # requests with a stale profile or daily view
    restated: int = 0  # values that changed with an estimated track length
    pending: int = 0  # requests with events that are not landed
    unread: int = 0  # requests without features
    by_feature: Counter[str] = field(default_factory=Counter)  # `view:feature` ▸ values with skew
    removed: Counter[str] = field(default_factory=Counter)  # `view:feature` ▸ requests that read it before its removal
    examples: list[dict[str, Any]] = field(default_factory=list)  # at most MAX_EXAMPLES values with skew

    @property
    def rate(self) -> float:
        """Fraction of the compared values with skew."""
        return self.unequal / self.values if self.values else 0.0

    def add(self, request: LoggedRequest, difference: Difference) -> None:
        """Add the classified difference of one request."""
        if difference.is_pending:
            self.pending += 1
            return
        self.compared += 1
        self.values += difference.values
        self.restated += difference.restated
        self.late += difference.is_late
        self.early += difference.is_early
        self.stale += difference.is_stale
        self.unequal += len(difference.unequal)
        self.by_feature.update(value["feature"] for value in difference.unequal)
        origin = {"request_id": request.request_id, "at_us": request.at_us, "release": request.release}
        self.examples += [origin | value for value in difference.unequal[: MAX_EXAMPLES - len(self.examples)]]

    def to_dict(self, as_of: date) -> dict[str, Any]:
        """The content of `reports/skew.json`."""
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        by_feature = dict(self.by_feature.most_common())
        return {
            "as_of": str(as_of),
            **counts,
            "skew_rate": self.rate,
            "by_feature": by_feature,
            "removed": dict(self.removed.most_common()),
            "examples": self.examples,
        }


def compare_requests(
    store: FeatureStore,
    events: EventStore,
    requests: Iterable[LoggedRequest],
    marts_folder: Path,
    home: Path,
    landing: Path | None = None,
) -> SkewReport:
    """Compare logged requests with the offline store.

    Args:
        store: Store whose offline features are read.
        events: The event store; it determines with the materialization log and the landing zone what was available at the
            time of a request.
        requests: Requests of days that the marts cover.
        marts_folder: Folder of the marts.
        home: Folder of the materialization log and the landing zone.
        landing: Landing zone, if it is not below `home`.
    """
    report, remaining = SkewReport(), iter(requests)
    refs = _feature_refs(store)
    names = {ref.replace(":", "__") for ref in refs}
    while chunk := list(islice(remaining, REQUESTS_PER_BATCH)):
        report.requests += len(chunk)
        read = [_leave_out_removed(request, names, report.removed) for request in chunk if request.is_read]
        report.unread += len(chunk) - len(read)
        pairs = list(zip(read, _read_offline(store, refs, read), strict=True))
        different = [(online, offline) for online, offline in pairs if online != offline]
        report.compared += len(pairs) - len(different)
        report.values += sum(count_values(online) for online, offline in pairs if online == offline)
        if different:
            online_requests = [online for online, _ in different]
            classifier = SkewClassifier.load(online_requests, events, marts_folder, home, landing or home / "landing")
            for online, offline in different:
                report.add(online, classifier.classify(online, offline))
    return report


def count_values(request: LoggedRequest) -> int:
    """Number of feature values that a request read."""
    return len(request.profile) + sum(len(values) for view in request.views.values() for values in view.values())


def _feature_refs(store: FeatureStore) -> list[str]:
    projections = store.get_feature_service(FEATURE_SERVICE).feature_view_projections
    return [f"{view.name_to_use()}:{feature.name}" for view in projections for feature in view.features]


def _leave_out_removed(request: LoggedRequest, names: Container[str], removed: Counter[str]) -> LoggedRequest:
    """The request with the features `names` (`view__feature`) only; counts the others in `removed`."""
    views: dict[str, FeatureLists] = {}
    for view, attributes in request.views.items():
        for name, values in attributes.items():
            if f"{view}__{name}" in names:
                views.setdefault(view, {})[name] = values
            else:
                removed[f"{view}:{name}"] += 1
    profile = {name: value for name, value in request.profile.items() if name in names}
    removed.update(name.replace("__", ":") for name in request.profile if name not in names)
    return replace(request, views=views, profile=profile)


def _read_offline(store: FeatureStore, refs: list[str], requests: list[LoggedRequest]) -> list[LoggedRequest]:
    """The same requests with the features of the offline store."""
    if not requests:
        return []
    rows = pd.DataFrame(
        {
            "user_id": [request.user_id for request in requests],
            "event_timestamp": pd.to_datetime([request.at_us for request in requests], unit="us", utc=True),
            "place": np.arange(len(requests)),
        }
    )
    features = (
        store.get_historical_features(rows, refs, full_feature_names=True).to_arrow().sort_by("place").to_pydict()
    )
    return [
        replace(
            request,
            views={
                view: {name: nan_to_none(name, features[f"{view}__{name}"][place]) for name in attributes}
                for view, attributes in request.views.items()
            },
            profile={name: _scalar_or_none(features[name][place]) for name in request.profile},
        )
        for place, request in enumerate(requests)
    ]


def _scalar_or_none(value: float | None) -> float | None:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not equal to itself
