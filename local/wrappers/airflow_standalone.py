"""`python -m local.wrappers.airflow_standalone`: `airflow standalone` without Airflow's log servers.

Scheduler and triggerer start a log server each, which listens on every address of the machine; Airflow has no setting for that
address. On one machine they are not needed: the API server reads the same log files from the disk.
"""

from __future__ import annotations

import signal
import sys

from airflow.__main__ import main as run_airflow
from airflow.cli.commands import standalone_command

COMMANDS_WITH_LOG_SERVER = ("scheduler", "triggerer")


class SubCommandWithoutLogServer(standalone_command.SubCommand):
    """A component of Airflow, started without its log server."""

    def __init__(
        self, parent: standalone_command.StandaloneCommand, name: str, command: list[str], env: dict[str, str]
    ) -> None:
        options = ["--skip-serve-logs"] if name in COMMANDS_WITH_LOG_SERVER else []
        super().__init__(parent, name, [*command, *options], env)


def main() -> None:
    """Run until the process is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the components, like Ctrl+C
    standalone_command.SubCommand = SubCommandWithoutLogServer
    sys.argv = ["airflow", "standalone"]
    run_airflow()


if __name__ == "__main__":
    main()
