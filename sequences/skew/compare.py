"""`python -m sequences.skew.compare --as-of 2025-06-02`: what requests read, held against what training reads for them.

Takes the requests that the service logged on the day before `as_of`, asks the offline store for the same users and
times (`get_historical_features` with the views of the same feature service), and compares every element. **Skew** is a
value that differs although it could have been the same. What could not is told apart (`sequences/skew/causes.py`) and
reported beside it:

- `late`: an event came after the request, though it had happened before. The request is equal without it.
- `early`: an event lies after the request by the clock of the device that reported it. The request is equal but for it.
- `stale`: a day's profile becomes known at midnight and reaches the online store with the next materialisation.
- `restated`: a track's length is an estimate that moves with every day's plays, and shares of it move along.
- `pending`: the request read an event that is not landed yet. It is not compared.
- `unread`: the online store did not answer, so that the models were given nothing. It is not compared.

The outcome goes to `reports/skew.json`. The command fails where more than `MOST_SKEW` of the values differ, and names
the worst feature. Nothing to compare is fine. Knows nothing about models.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd

from config import settings
from sequences.feast_store import local_marts_folder, open_store
from sequences.online.reader_writer import FEATURE_SERVICE
from sequences.skew import request_log
from sequences.skew.causes import Difference, SkewClassifier
from sequences.skew.request_log import LoggedRequest, nan_to_none
from sequences.views import LIVE_SOURCE

MAX_SKEW_RATE = 0.001
MAX_REQUESTS = 5_000
REQUESTS_PER_BATCH = 256
MAX_EXAMPLES = 20


@dataclass
class SkewReport:
    """What was found. `values`, `unequal` and `restated` count values, everything else counts requests; `by_feature`
    counts the unequal values of a `view:feature`.
    """

    requests: int = 0
    compared: int = 0
    values: int = 0
    unequal: int = 0
    late: int = 0
    early: int = 0
    stale: int = 0
    restated: int = 0
    pending: int = 0
    unread: int = 0
    by_feature: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The share of the compared values that are unequal."""
        return self.unequal / self.values if self.values else 0.0

    def add(self, request: LoggedRequest, difference: Difference) -> None:
        """Count one request that was not equal at once."""
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
        self.by_feature.update(one["feature"] for one in difference.unequal)
        who = {"request_id": request.request_id, "at_us": request.at_us, "release": request.release}
        self.examples += [who | one for one in difference.unequal[: MAX_EXAMPLES - len(self.examples)]]

    def to_dict(self, as_of: date) -> dict[str, Any]:
        """As `reports/skew.json` holds it."""
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        by_feature = dict(self.by_feature.most_common())
        return {
            "as_of": str(as_of),
            **counts,
            "skew_rate": self.rate,
            "by_feature": by_feature,
            "examples": self.examples,
        }


def compare_requests(
    store: feast.FeatureStore,
    requests: Iterable[LoggedRequest],
    marts_folder: Path,
    home: Path,
    landing: Path | None = None,
) -> SkewReport:
    """What requests of the days that the marts cover had read, against the offline store.

    `home` has the live log, the record of materialisations and, unless another is given, the landing zone: they tell what was
    there to be read.
    """
    skew, waiting = SkewReport(), iter(requests)
    refs = _feature_refs(store)
    while chunk := list(islice(waiting, REQUESTS_PER_BATCH)):
        skew.requests += len(chunk)
        read = [request for request in chunk if request.is_read]
        skew.unread += len(chunk) - len(read)
        pairs = list(zip(read, _read_offline(store, refs, read), strict=True))
        odd = [(online, offline) for online, offline in pairs if online != offline]
        skew.compared += len(pairs) - len(odd)
        skew.values += sum(count_values(online) for online, offline in pairs if online == offline)
        if odd:
            reasons = SkewClassifier.load([online for online, _ in odd], marts_folder, home, landing)
            for online, offline in odd:
                skew.add(online, reasons.classify(online, offline))
    return skew


def count_values(request: LoggedRequest) -> int:
    """How many values a request read."""
    return len(request.profile) + sum(len(values) for view in request.views.values() for values in view.values())


def _feature_refs(store: feast.FeatureStore) -> list[str]:
    # The live part is merged into the sequences online; offline they are one from the start.
    projections = store.get_feature_service(FEATURE_SERVICE).feature_view_projections
    return [
        f"{one.name_to_use()}:{feature.name}"
        for one in projections
        if one.name_to_use() != LIVE_SOURCE
        for feature in one.features
    ]


def _read_offline(store: feast.FeatureStore, refs: list[str], requests: list[LoggedRequest]) -> list[LoggedRequest]:
    """The same requests with the features that the offline store has for them."""
    if not requests:
        return []
    rows = pd.DataFrame(
        {
            "user_id": [request.user_id for request in requests],
            "event_timestamp": pd.to_datetime([request.at_us for request in requests], unit="us", utc=True),
            "place": np.arange(len(requests)),
        }
    )
    found = store.get_historical_features(rows, refs, full_feature_names=True).to_arrow().sort_by("place").to_pydict()
    return [
        replace(
            request,
            views={
                view: {name: nan_to_none(name, found[f"{view}__{name}"][place]) for name in attributes}
                for view, attributes in request.views.items()
            },
            profile={name: _scalar_or_none(found[name][place]) for name in request.profile},
        )
        for place, request in enumerate(requests)
    ]


def _scalar_or_none(value: float | None) -> float | None:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not equal to itself


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Compare what requests read online with the offline store.")
    parser.add_argument(
        "--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: requests of the day before"
    )
    as_of = parser.parse_args(arguments).as_of
    current, day = settings.load_settings(), as_of - timedelta(days=1)
    requests = islice(request_log.read_requests(current.request_log, day, day), MAX_REQUESTS)
    skew = compare_requests(open_store(), requests, local_marts_folder(), current.home, current.landing)
    current.reports.mkdir(parents=True, exist_ok=True)
    file = current.reports / "skew.json"
    draft = file.with_suffix(".partial")
    draft.write_text(json.dumps(skew.to_dict(as_of), indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
    if not skew.requests:
        print(f"no request was logged on {day}: nothing to compare (the service logs a sample of its requests)")
        return 0
    print(
        f"{skew.unequal:,} of {skew.values:,} values differ ({skew.rate:.4%}) in {skew.compared:,} of {skew.requests:,} "
        f"requests of {day}; late {skew.late}, early {skew.early}, stale {skew.stale}, restated {skew.restated} values, "
        f"pending {skew.pending}, unread {skew.unread}"
    )
    if skew.rate > MAX_SKEW_RATE:
        (worst, count), *_ = skew.by_feature.most_common(1)
        print(
            f"skew: models were given other values than training will read, most often {worst} ({count:,} values); "
            f"at most {MAX_SKEW_RATE:.1%} may differ. {file} has examples: "
            "compare `sequences/online/live_events.py` with the mart `events`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
    sys.exit(code)
