"""MLflow's web application behind the operator's password: an app of `mlflow server --app-name segue` (see pyproject.toml)."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import load_operator_password
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
