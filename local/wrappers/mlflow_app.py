"""MLflow's web application behind the operator's password: an app of `mlflow server --app-name segue` (see pyproject.toml)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from config.settings import load_operator_password
from web.basic_authentication import CHALLENGE, is_operator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PUBLIC_PATH = "/health"


class PasswordRequired:
    """ASGI application that responds with 401 without the operator's password, except to health checks."""

    def __init__(self, app: App, password: str) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if (
            scope["type"] == "lifespan"
            or (scope["type"] == "http" and scope["path"] == PUBLIC_PATH)
            or self._is_allowed(scope)
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"www-authenticate", CHALLENGE.encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_allowed(self, scope: Message) -> bool:
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        return len(values) == 1 and is_operator(values[0], self._password)


def create_app() -> App:
    """The application, with the password of the settings; uvicorn calls it in its worker."""
    from mlflow.server.fastapi_app import app

    return PasswordRequired(app, load_operator_password())
