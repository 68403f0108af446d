"""Prometheus metrics of a consumer."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class ConsumerMetrics:
    """Metrics of a consumer in addition to those of FastStream, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.events = Counter(
            "segue_broker_events",
            "Events consumed from the broker by outcome: applied, nothing_new (duplicate), dead, forgotten (erased user)",
            ["outcome"],
            registry=registry,
        )
        self.retries = Counter(
            "segue_broker_retries", "Failed writes to the online store, which were retried", registry=registry
        )
        self.latency_seconds = Histogram(
            "segue_broker_event_seconds",
            "Time from sending a message until its events are readable in the online store",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.lag_messages = Gauge(
            "segue_broker_waiting_messages", "Lag: messages that are not applied yet", ["partition"], registry=registry
        )
        self.oldest_message_seconds = Gauge(
            "segue_broker_oldest_seconds", "Lag: age of the oldest unapplied message", ["partition"], registry=registry
        )
        self.dead_letters = Gauge("segue_broker_dead_letters", "Stored dead letters", registry=registry)
        self.owned_partitions = Gauge("segue_broker_owned_partitions", "Partitions of this consumer", registry=registry)
