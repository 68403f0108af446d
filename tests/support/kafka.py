"""A server that speaks Kafka's protocol, on loopback, in a process of its own: the cluster that librdkafka, Kafka's client in
C, has for tests. It has partitions, groups, sessions and offsets; it makes no topics when asked, but when they are used.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PARTITIONS = 4
"""Of a topic that it makes."""


@contextmanager
def running() -> Iterator[str]:
    """The `kafka://` address of a started server."""
    command = [sys.executable, "-m", "tests.support.kafka"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"kafka://{server.stdout.readline().strip()}"
        finally:
            server.kill()


def main() -> None:
    """Tell the address, and serve until the one who started this is gone."""
    from confluent_kafka import Producer

    client = Producer({"test.mock.num.brokers": 1})
    ((_, broker),) = client.list_topics(timeout=30).brokers.items()
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
