"""What a consumer counts and times, as Prometheus metrics."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class ConsumerMetrics:
    """Every metric of a consumer but FastStream's own, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.events = Counter(
            "segue_broker_events",
            "Events taken from the broker: applied, nothing new in them, dead, of somebody who was forgotten",
            ["outcome"],
            registry=registry,
        )
        self.retries = Counter(
            "segue_broker_retries", "Times that the online store did not take what it was given", registry=registry
        )
        self.latency_seconds = Histogram(
            "segue_broker_event_seconds",
            "From a message's sending until its events are readable",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.lag_messages = Gauge(
            "segue_broker_waiting_messages", "The lag: messages not applied yet", ["partition"], registry=registry
        )
        self.oldest_message_seconds = Gauge(
            "segue_broker_oldest_seconds", "The lag: age of the oldest of them", ["partition"], registry=registry
        )
        self.dead_letters = Gauge("segue_broker_dead_letters", "Dead letters that are kept", registry=registry)
        self.owned_partitions = Gauge("segue_broker_owned_partitions", "Partitions of this consumer", registry=registry)
