"""Ports for servers of tests."""

import random

from config.bind_address import is_free

PORTS = ("SEGUE_AIRFLOW_PORT", "SEGUE_RECOMMENDER_PORT", "SEGUE_MLFLOW_PORT", "SEGUE_CONSOLE_PORT")
"""Settings of the ports of the services."""


def free_port(host: str = "127.0.0.1") -> int:
    """A random port that is free at the time of the call.

    It is below the ephemeral port range (from 32768 on Linux, from 49152 elsewhere), so that no outgoing connection takes it
    before the caller listens on it.
    """
    while not is_free(host, port := random.randrange(20_000, 32_000)):
        continue
    return port
