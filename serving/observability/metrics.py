"""What the service counts and times, as Prometheus metrics; one object, made once a process."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Every metric of the recommender, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.requests = Counter(
            "segue_recommend_requests", "Answers by outcome", ["scene", "outcome", "release"], registry=registry
        )
        self.request_seconds = Histogram(
            "segue_recommend_seconds",
            "Whole request path",
            ["scene", "release"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "segue_stage_seconds", "One stage of the path", ["stage"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self.channel_seconds = Histogram(
            "segue_channel_seconds", "One recall channel", ["channel"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self.candidates = Counter("segue_candidates", "Candidates that a channel found", ["channel"], registry=registry)
        self.skipped = Counter(
            "segue_skipped", "Parts that failed and were left out of an answer", ["part"], registry=registry
        )
        self.cut_off = Counter(
            "segue_cut_off",
            "Channels left out of an answer: late for it, or busy still with one they were late for",
            ["channel", "why"],
            registry=registry,
        )
        self.removed = Counter("segue_removed", "Candidates that a filter removed", ["filter"], registry=registry)
        self.exposures = Counter("segue_exposures", "Tracks shown", ["scene", "release"], registry=registry)
        self.explored = Counter(
            "segue_explored", "New tracks that chance put into an answer", ["scene"], registry=registry
        )
        self.refused = Counter(
            "segue_refused", "Requests sent away because too many were waiting", ["path"], registry=registry
        )
        self.turned_away = Counter(
            "segue_turned_away", "Requests without a key, or too many of one client", ["why"], registry=registry
        )
        self.events = Counter("segue_events", "Reported events by outcome", ["outcome"], registry=registry)
        self.event_seconds = Histogram(
            "segue_event_seconds",
            "A report, until it is on the disk and readable",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.unpushed = Gauge(
            "segue_unpushed_reports",
            "Reports on the disk that the online store lacks",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.releases = Counter("segue_releases", "Releases tried, by outcome", ["outcome"], registry=registry)
        self.releases_refused = Gauge(
            "segue_releases_refused",
            "Releases that should be in service and were refused",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.release_share = Gauge(
            "segue_release_share",
            "Share of the users whom a release answers",
            ["release"],
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.release_loaded_at = Gauge(
            "segue_release_loaded_at_seconds",
            "When the release in service was loaded, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.release_as_of = Gauge(
            "segue_release_as_of_seconds",
            "Up to when the release in service has learned, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.skew = Gauge(
            "segue_skew_ratio",
            "Share of the values that requests read which differ from those that training reads, last time it was looked at",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.skew_as_of = Gauge(
            "segue_skew_as_of_seconds",
            "As of when that is, seconds since 1970",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
