"""Routes as labels of metrics: paths contain ids of tracks, and clients may request any path."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.middleware import Middleware

from serving.http import media_files, openapi
from serving.http.access_policy import PUBLIC_PATHS, PUBLIC_PREFIXES
from serving.http.asgi import App, Message, Receive, Send
from serving.http.protocols import listenbrainz
from serving.http.protocols.credentials import SUBSONIC_PREFIX

OTHER = "other"
"""Label of all paths that the service does not have."""
PATHS = frozenset((*openapi.OPERATIONS, *PUBLIC_PATHS, listenbrainz.SUBMIT_PATH, listenbrainz.VALIDATE_PATH))
TEMPLATES = {
    **{template.partition("{")[0]: template for template in media_files.PATHS},
    **{prefix: f"{prefix}{{file}}" for prefix in PUBLIC_PREFIXES},
    SUBSONIC_PREFIX: f"{SUBSONIC_PREFIX}{{method}}",
}
"""Beginning of a path → route."""
BENTOML_METRICS = "RunnerTrafficMetricsMiddleware"
PATH_KEY = "segue.path"


def find_route(path: str, paths: Collection[str] = ()) -> str:
    """The route of a path: itself, a template, or OTHER. `paths` are further paths of the service."""
    if path in PATHS or path in paths:
        return path
    return next((template for prefix, template in TEMPLATES.items() if path.startswith(prefix)), OTHER)


def label_by_route(middleware: Middleware, paths: Collection[str]) -> Middleware:
    """BentoML's metrics middleware with the route instead of the path as label; any other middleware unchanged."""
    if getattr(middleware.cls, "__name__", "") != BENTOML_METRICS:
        return middleware
    return Middleware(RouteLabels, metrics=middleware, paths=paths)


class RouteLabels:
    """Calls a middleware that uses the path as a label with the route in its place; the application gets the path."""

    def __init__(self, app: App, metrics: Middleware, paths: Collection[str]) -> None:
        self._app, self._paths = app, paths
        self._metrics: Any = metrics.cls(self._restore_path, *metrics.args, **metrics.kwargs)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            scope = {**scope, "path": find_route(scope["path"], self._paths), PATH_KEY: scope["path"]}
        await self._metrics(scope, receive, send)

    async def _restore_path(self, scope: Message, receive: Receive, send: Send) -> None:
        if PATH_KEY in scope:
            scope = {**scope, "path": scope[PATH_KEY]}
        await self._app(scope, receive, send)
