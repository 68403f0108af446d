"""MLflow's web application behind the operator's password: an app of `mlflow server --app-name segue` (see pyproject.toml)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from config.settings import load_operator_password
from web.basic_authentication import OperatorPassword

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PUBLIC_PATH = "/health"


class PasswordRequired:
    """ASGI application that responds with 401 without the operator's password, except to health checks; 429: see `check`."""

    def __init__(self, app: App, password: OperatorPassword) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] == PUBLIC_PATH):
            await self._app(scope, receive, send)
            return
        status, named = self._check(scope)
        if status == 200:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
            headers.append((b"content-length", b"0"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _check(self, scope: Message) -> tuple[int, dict[str, str]]:
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        client = scope.get("client")
        return self._password.check(values[0] if len(values) == 1 else "", client[0] if client else "")


def create_app() -> App:
    """The application, with the password of the settings; uvicorn calls it in its worker."""
    from mlflow.server.fastapi_app import app

    return PasswordRequired(app, OperatorPassword(load_operator_password()))
