"""Free TCP ports."""

from __future__ import annotations

import random
import time

from config.bind_address import is_port_taken


def is_free(host: str, port: int) -> bool:
    """True if nothing listens on `host:port`."""
    return not is_port_taken(host, port)


def wait_until_free(host: str, port: int, timeout_s: float = 10) -> None:
    """Return when the port is free, or after `timeout_s`: a killed program releases its port with a delay."""
    deadline = time.monotonic() + timeout_s
    while not is_free(host, port) and time.monotonic() < deadline:
        time.sleep(0.1)


def free_port(host: str = "127.0.0.1") -> int:
    """A random port that is free at the time of the call.

    It is below the ephemeral port range (from 32768 on Linux, from 49152 elsewhere), so that no outgoing connection takes it
    before the caller listens on it.
    """
    while not is_free(host, port := random.randrange(20_000, 32_000)):
        continue
    return port
