"""`python -m local.wrappers.mlflow_app`: MLflow server with its data in SEGUE_HOME/mlflow; one worker, no job runners.

Its web application is behind the operator's password: an app of `mlflow server --app-name segue` (see pyproject.toml).
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from config.bind_address import check_bind_address
from config.command_line import report_errors
from config.settings import SettingError, Settings, load_operator_password, load_settings
from local.environment import environment
from web.basic_authentication import OperatorPassword

PUBLIC_PATH = "/health"


class PasswordRequired:
    """ASGI application that responds with 401 without the operator's password, except to health checks; 429: see `check`."""

    def __init__(self, app: ASGIApp, password: OperatorPassword) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        status, headers = 200, dict[str, str]()
        if scope["type"] == "websocket" or (scope["type"] == "http" and scope["path"] != PUBLIC_PATH):
            connection = HTTPConnection(scope)
            values = connection.headers.getlist("authorization")
            address = connection.client.host if connection.client else ""
            status, headers = self._password.check(values[0] if len(values) == 1 else "", address)
        await (self._app if status == 200 else Response(status_code=status, headers=headers))(scope, receive, send)


def create_app() -> ASGIApp:
    """The application, with the password of the settings; uvicorn calls it in its worker."""
    from mlflow.server.fastapi_app import app

    return PasswordRequired(app, OperatorPassword(load_operator_password()))


def command(settings: Settings) -> list[str]:
    """Command line of the server. Clients write artifacts directly, because they share the disk."""
    store = ["--backend-store-uri", f"sqlite:///{settings.mlflow}/mlflow.db"]
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", str(settings.mlflow / "artifacts")]
    address = ["--workers", "1", "--host", settings.host, "--port", str(settings.mlflow_port)]
    app = ["--app-name", "segue"] if load_operator_password() else []
    return ["mlflow", "server", *store, *artifacts, *address, *app]


@report_errors(SettingError, code=1)
def main() -> NoReturn:
    """Replace this process with the server."""
    settings = load_settings()
    check_bind_address(settings, "mlflow")
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    # Job runners would add eight processes and 2 GB of memory
    variables = {**environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    words = command(settings)
    os.execvpe(words[0], words, variables)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
