"""Prometheus metrics of the service: one object per process, and periodic updates of those that do not depend on requests."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from serving.releases.served_release import ServedRelease

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


logger = logging.getLogger(__name__)


class Metrics:
    """Every metric of the recommender, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.child: Callable[..., Any] = cache(lambda metric, *labels: metric.labels(*labels))
        """Metric, values of its labels → the metric with these values, for what every request counts."""
        self.requests = Counter(
            "segue_recommend_requests", "Responses by outcome", ["scene", "outcome", "release"], registry=registry
        )
        self.request_seconds = Histogram(
            "segue_recommend_seconds",
            "Duration of the whole pipeline",
            ["scene", "release"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "segue_stage_seconds",
            "Duration of one pipeline stage",
            ["stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.channel_seconds = Histogram(
            "segue_channel_seconds",
            "Duration of one recall channel",
            ["channel"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.candidates = Counter("segue_candidates", "Candidates found by a channel", ["channel"], registry=registry)
        self.skipped = Counter(
            "segue_skipped",
            "Parts left out of a response: they failed, or are channels whose turn came too late",
            ["part", "reason"],
            registry=registry,
        )
        self.removed = Counter("segue_removed", "Candidates removed by a filter", ["filter"], registry=registry)
        self.exposures = Counter("segue_exposures", "Items shown", ["scene", "release"], registry=registry)
        self.explored = Counter("segue_explored", "Random new tracks shown", ["scene"], registry=registry)
        self.rejected = Counter(
            "segue_rejected",
            "Requests rejected by access control, or at a path because its queue was full",
            ["reason", "path"],
            registry=registry,
        )
        self.events = Counter("segue_events", "Reported events by outcome", ["outcome"], registry=registry)
        self.event_seconds = Histogram(
            "segue_event_seconds",
            "Time until a report is durable and readable",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.degraded = Gauge(
            "segue_degraded",
            "1 for a part of the service that does not work at the moment",
            ["part"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.releases = Counter("segue_releases", "Releases loaded, by outcome", ["outcome"], registry=registry)
        self.releases_rejected = Gauge(
            "segue_releases_rejected",
            "Selected releases that were rejected",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.release_share = Gauge(
            "segue_release_share",
            "Share of the users that a release serves",
            ["release"],
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.release_loaded_at = Gauge(
            "segue_release_loaded_at_seconds",
            "Load time of the release in service, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.release_as_of = Gauge(
            "segue_release_as_of_seconds",
            "Last day of the training data of the release in service, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.skew = Gauge(
            "segue_skew_ratio",
            "Share of online feature values that differ from the offline ones, in the last comparison",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.skew_as_of = Gauge(
            "segue_skew_as_of_seconds",
            "Day of the last feature comparison, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )


def update_metrics(metrics: Metrics, skew: Path, release: ServedRelease | None) -> None:
    """Update the metrics that do not depend on requests; unknown values stay unchanged.

    Args:
        metrics: Metrics of the service.
        skew: Report of `python -m sequences.skew`; may not exist yet.
        release: The production release; None before the first.
    """
    if release is not None and release.as_of:
        metrics.release_as_of.set(_seconds(release.as_of))
    try:
        report = json.loads(skew.read_text(encoding="utf-8"))
        rate, as_of = float(report["skew_rate"]), _seconds(report["as_of"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s cannot be read: %s", skew, error)
        return
    metrics.skew.set(rate)
    metrics.skew_as_of.set(as_of)


def _seconds(day: str) -> float:
    """Midnight of a day, seconds since 1970."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
