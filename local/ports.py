"""Checks of TCP ports."""

from __future__ import annotations

import random
import time

from config.bind_address import is_port_taken


class PortTakenError(RuntimeError):
    """Another program listens on the port of a service; the message names the port and its setting."""


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


def check_free(service: str, host: str, port: int, setting: str) -> None:
    """Check that the port of a service is free.

    Raises:
        PortTakenError: Another program listens on it.
    """
    if not is_free(host, port):
        raise PortTakenError(
            f"port {port} on {host}, where {service} should listen, is taken by another program; "
            f"stop that program or choose another port: {setting}=NUMBER"
        )
