"""`python -m sequences.streaming.consume`: takes events from the broker and applies them to the online store, until it is ended.

As many as there are partitions may run, on any number of machines with the same settings; each takes its share, and what
one leaves behind when it dies the others take over. Metrics are at `SEGUE_CONSUMER_PORT`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import REGISTRY, start_http_server

from config import garbage_collector, settings
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineWriter
from sequences.streaming.apply import EventApplier
from sequences.streaming.message import TOPIC, Topic
from sequences.streaming.metrics import ConsumerMetrics


def _open_writer(duration_of: Callable[[str], int | None]) -> OnlineWriter:
    writer = OnlineWriter(open_store(), duration_of)
    garbage_collector.freeze_gc()
    return writer


async def consume(here: settings.Settings, topic: Topic = TOPIC) -> None:
    """Consume until the process is told to end."""
    metrics, ending = ConsumerMetrics(), asyncio.Event()
    applying = EventApplier(_open_writer, here.suppression_list, metrics)

    def end() -> None:
        ending.set()
        applying.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, end)
    run = _make_consumer(here.broker, applying, metrics, topic)
    await asyncio.to_thread(applying.open)
    await run(ending)


def _make_consumer(
    url: str, applying: EventApplier, metrics: ConsumerMetrics, topic: Topic
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """What consumes from the broker at this address until it is told to end."""
    if url.startswith("kafka://"):
        from sequences.streaming.kafka import TopicConsumer

        return TopicConsumer(url, applying, metrics, REGISTRY, topic).run
    from sequences.streaming.redis_streams import StreamConsumer

    return StreamConsumer(url, applying, metrics, REGISTRY, topic).run


def main() -> int:
    """The command."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sequences").setLevel(logging.INFO)
    try:
        here = settings.load_settings()
        if not here.broker:
            raise settings.SettingError(
                "SEGUE_BROKER is empty, so the recommender applies events itself and there is nothing to consume; give "
                "redis://host:port/db or kafka://host:port to both"
            )
        start_http_server(here.consumer_port, here.host)
    except (settings.SettingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    asyncio.run(consume(here))
    return 0


if __name__ == "__main__":
    sys.exit(main())
