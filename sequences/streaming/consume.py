"""`python -m sequences.streaming.consume`: consume events from the broker and apply them to the online store.

Up to one consumer per partition can run, on any number of machines with the same settings. Partitions are distributed
evenly, and those of a failed consumer are taken over by the others. Metrics are served at `SEGUE_CONSUMER_PORT`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

from prometheus_client import REGISTRY, start_http_server

from config import bind_address, garbage_collector, settings
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineWriter
from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.message import TOPIC, Topic
from sequences.streaming.metrics import ConsumerMetrics


def _open_writer(duration_of: Callable[[str], int | None]) -> OnlineWriter:
    writer = OnlineWriter(open_store(), duration_of)
    garbage_collector.freeze_gc()
    return writer


async def consume(here: settings.Settings, topic: Topic = TOPIC) -> None:
    """Consume until the process receives SIGTERM or SIGINT."""
    # Imported here, so that the command without a broker names the setting, not a missing package.
    from sequences.streaming.redis_streams import StreamConsumer

    metrics, stop_event = ConsumerMetrics(), asyncio.Event()
    applier = EventApplier(_open_writer, here.suppression_list, metrics)

    def stop() -> None:
        stop_event.set()
        applier.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    consumer = StreamConsumer(here.broker, applier, metrics, REGISTRY, topic)
    await asyncio.to_thread(applier.open)
    await consumer.run(stop_event)


def main() -> int:
    """Run the command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sequences").setLevel(logging.INFO)
    try:
        here = settings.load_settings()
        if not here.broker:
            raise settings.SettingError(
                "SEGUE_BROKER is empty: the recommender applies events itself and there is nothing to consume; set it to "
                "redis://host:port/db for both processes"
            )
        bind_address.check_bind_address(here, "consumer")
        start_http_server(here.consumer_port, here.host)
    except (settings.SettingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    asyncio.run(consume(here))
    return 0


if __name__ == "__main__":
    sys.exit(main())
