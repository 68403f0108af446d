"""Ports for servers of tests."""

import os
import random

from config.bind_address import is_free

PORTS = ("SEGUE_AIRFLOW_PORT", "SEGUE_RECOMMENDER_PORT", "SEGUE_MLFLOW_PORT", "SEGUE_CONSOLE_PORT")
"""Settings of the ports of the services."""


def free_port(host: str = "127.0.0.1") -> int:
    """A random port that is free at the time of the call, another one in every process that runs tests.

    It is below the ephemeral port range (from 32768 on Linux, from 49152 elsewhere), so that no outgoing connection takes it
    before the caller listens on it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while not is_free(host, port := random.SystemRandom().randrange(20_000 + worker % 12, 32_000, 12)):
        continue
    return port
