"""HTTP requests of the client, and errors of the service."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx


class SegueError(Exception):
    """An error response of the service.

    Attributes:
        status: HTTP status; 0 if the service could not be reached.
        problem: The problem document (RFC 9457); empty if there is none.
        retry_after_s: Seconds after which the service suggests to try again; None if it does not.
    """

    def __init__(
        self, status: int, detail: str, problem: Mapping[str, Any], retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status, self.detail, self.problem, self.retry_after_s = status, detail, dict(problem), retry_after_s


class Transport:
    """Sends requests over one connection pool; thread-safe.

    Args:
        base_url: Address of the service.
        api_key: API key of a backend or token of a user; not needed on the machine of a service without keys.
        timeout_s: Time for a request.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:3000", api_key: str | None = None, timeout_s: float = 30.0
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        """The client; closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @staticmethod
    def quote(part: str) -> str:
        """A part of a path, URL-encoded."""
        return quote(part, safe="")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON response to a POST of the values that are not None."""
        sent = {name: value for name, value in body.items() if value is not None}
        return self.send("POST", path, json=sent).json()

    def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The response to a request.

        Raises:
            SegueError: The service cannot be reached, or responds with an error.
        """
        try:
            response = self._client.request(method, path, **content)
        except httpx.TransportError as error:
            address = self._client.base_url
            raise SegueError(0, f"{address} cannot be reached ({error}); start it: `make serve`", {}) from error
        if response.is_success:
            return response
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        detail = problem.get("detail") or f"{response.reason_phrase} for {method} {path}"
        wait = response.headers.get("Retry-After", "")
        raise SegueError(response.status_code, detail, problem, float(wait) if wait.isdigit() else None)
