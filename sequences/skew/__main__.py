"""`python -m sequences.skew --as-of 2025-06-02`: training/serving skew of the requests logged on the day before.

Writes `reports/skew.json` and fails if more than `MAX_SKEW_RATE` of the values differ, naming the worst feature. A day
without logged requests is not an error. A day of which no request could be compared is one, and is not recorded. See
`sequences/skew/compare.py` for the definition of skew.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from datetime import date, timedelta
from itertools import islice

from config import settings
from config.command_line import end_process
from event_store.opened import open_event_store
from sequences.feast_store import local_marts_folder, open_store
from sequences.skew import feature_log
from sequences.skew.compare import compare_requests
from storage.files import atomic_write
from storage.report_history import append_to_history

MAX_SKEW_RATE = 0.001
MAX_REQUESTS = 5_000


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Compare the features that requests read online with the offline store."
    )
    parser.add_argument(
        "--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: compare requests of the day before"
    )
    as_of = parser.parse_args(arguments).as_of
    current, day = settings.load_settings(), as_of - timedelta(days=1)
    requests = islice(feature_log.read_requests(current.feature_log, day, day), MAX_REQUESTS)
    with closing(open_event_store(current)) as events:
        report = compare_requests(open_store(), events, requests, local_marts_folder(), current.landing)
    if report.requests > report.removed and not report.compared:
        print(
            f"none of {report.requests:,} requests of {day} could be compared: unread {report.unread:,} (the online store did "
            f"not respond; start the online store), pending {report.pending:,} (their events are not landed; land "
            "them and run this again)",
            file=sys.stderr,
        )
        return 1
    file = current.reports / "skew.json"
    atomic_write(file, json.dumps(report.to_dict(as_of), indent=2) + "\n")
    if not report.compared:
        print(
            f"no request was logged on {day} with the present features: nothing to compare (the service logs a sample of its "
            "requests)"
        )
        return 0
    append_to_history(current.reports / "history" / "skew.jsonl", as_of.isoformat(), {"skew_rate": report.rate})
    print(
        f"{report.unequal:,} of {report.values:,} values differ ({report.rate:.4%}) in {report.compared:,} of "
        f"{report.requests:,} requests of {day}; late {report.late}, early {report.early}, stale {report.stale}, "
        f"restated {report.restated} values, pending {report.pending}, unread {report.unread}, removed {report.removed}"
    )
    if report.rate > MAX_SKEW_RATE:
        (worst, count), *_ = report.by_feature.most_common(1)
        print(
            f"skew: online and offline features differ, most often {worst} ({count:,} values); at most "
            f"{MAX_SKEW_RATE:.1%} may differ. {file} has examples: compare `sequences/online/live_events.py` with the mart "
            "`events`",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    end_process(main())
