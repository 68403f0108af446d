"""`python -m local.wrappers.mlflow_server`: MLflow server with its data in SEGUE_HOME/mlflow; one worker, no job runners."""

from __future__ import annotations

import os
import sys

from config.bind_address import check_bind_address
from config.settings import SettingError, Settings, load_operator_password, load_settings
from local.environment import environment


def command(settings: Settings) -> list[str]:
    """Command line of the server. Clients write artifacts directly, because they share the disk."""
    store = ["--backend-store-uri", f"sqlite:///{settings.mlflow}/mlflow.db"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(settings.mlflow / "artifacts")]
    address = ["--workers", "1", "--host", settings.host, "--port", str(settings.mlflow_port)]
    app = ["--app-name", "segue"] if load_operator_password() else []
    return ["mlflow", "server", *store, *artifacts, *address, *app]


def main() -> None:
    """Replace this process with the server."""
    try:
        settings = load_settings()
        check_bind_address(settings, "mlflow")
    except SettingError as error:
        sys.exit(str(error))
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    # Job runners would add eight processes and 2 GB of memory
    variables = {**environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    words = command(settings)
    os.execvpe(words[0], words, variables)  # noqa: S606


if __name__ == "__main__":
    main()
