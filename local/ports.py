"""Whether a port can be taken, said in one sentence when it cannot."""

from __future__ import annotations

import random
import socket
import time


class PortTakenError(RuntimeError):
    """Another program listens on a port that a service needs; the message names the port and the setting."""


def is_free(host: str, port: int) -> bool:
    """True when nothing listens on `host:port`, so that a service can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def wait_until_free(host: str, port: int, timeout_s: float = 10) -> None:
    """Return when the port is free, or after `patience_s`: a killed program has its port for a moment longer."""
    deadline = time.monotonic() + timeout_s
    while not is_free(host, port) and time.monotonic() < deadline:
        time.sleep(0.1)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now; the caller takes it before somebody else does.

    It lies below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 and up elsewhere):
    one of those may be taken again by any connection before the caller listens.
    """
    while not is_free(host, port := random.randrange(20_000, 32_000)):
        continue
    return port


def check_free(service: str, host: str, port: int, setting: str) -> None:
    """Return when the port is free.

    Raises:
        PortTakenError: it is not.
    """
    if not is_free(host, port):
        raise PortTakenError(
            f"port {port} on {host}, where {service} should listen, is taken by another program; "
            f"stop that program or choose another port: {setting}=NUMBER"
        )
