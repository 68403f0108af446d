"""`python -m local.mlflow_server`: MLflow's server over SEGUE_HOME/mlflow, small: one worker, no job runners."""

from __future__ import annotations

import os

from config.settings import Settings, load_settings
from local.environment import environment


def command(settings: Settings) -> list[str]:
    """The server's command line; clients write artifacts themselves, because they share the disk."""
    store = ["--backend-store-uri", f"sqlite:///{settings.mlflow}/mlflow.db"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(settings.mlflow / "artifacts")]
    address = ["--workers", "1", "--host", settings.host, "--port", str(settings.mlflow_port)]
    return ["mlflow", "server", *store, *artifacts, *address]


def main() -> None:
    """Become the server."""
    settings = load_settings()
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    # The job runners would be eight more processes and 2 GB
    variables = {**environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    line = command(settings)
    os.execvpe(line[0], line, variables)  # noqa: S606


if __name__ == "__main__":
    main()
