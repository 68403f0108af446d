"""`python -m serving`: start the recommender on the host and port of the settings.

Sets the environment and executes `bentoml serve`.
"""

from __future__ import annotations

import argparse
import os
import sys

from config import settings
from config.bind_address import check_bind_address, check_port_is_free
from config.tool_environment import tool_environment
from serving.http.access_policy import ApiKeys, load_rate_limit
from serving.http.user_tokens import UserTokens

SERVICE = "serving.service:Recommender"
# Requests run in parallel, so multi-threaded numeric kernels would compete for the same cores.
KERNEL_THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Replace this process with the server. It listens on loopback unless SEGUE_HOST is set, see `config.bind_address`."""
    argparse.ArgumentParser(prog="python -m serving", description="Start the recommender").parse_args()
    try:
        current = settings.load_settings()
        if tokens := settings.load_jwt_settings():
            UserTokens(tokens)
        ApiKeys(settings.load_api_keys())
        check_bind_address(current, "recommender")
        settings.HttpSettings()
        load_rate_limit()
        check_port_is_free(current, "recommender", current.recommender_port, "SEGUE_RECOMMENDER_PORT")
    except ValueError as error:
        raise SystemExit(str(error)) from error
    environment = {**KERNEL_THREADS, **os.environ, **tool_environment(current)}
    address = ["--host", current.host, "--port", str(current.recommender_port)]
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, *address, "--working-dir", str(settings.ROOT)]
    os.execve(sys.executable, command, environment)  # noqa: S606


if __name__ == "__main__":
    main()
