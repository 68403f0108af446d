"""A Kafka-protocol server on loopback in a separate process: the mock cluster of librdkafka, Kafka's C client.

It supports partitions, groups, sessions and offsets. It does not support topic creation by request; topics are created on
first use.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PARTITIONS = 4
"""Number of partitions of a topic created on first use."""


@contextmanager
def running() -> Iterator[str]:
    """Start a server; yields its `kafka://` URL."""
    command = [sys.executable, "-m", "tests.support.kafka"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"kafka://{server.stdout.readline().strip()}"
        finally:
            server.kill()


def main() -> None:
    """Print the address and serve until the parent process exits."""
    from confluent_kafka import Producer

    client = Producer({"test.mock.num.brokers": 1})
    ((_, broker),) = client.list_topics(timeout=30).brokers.items()
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
