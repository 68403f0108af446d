"""Errors of requests, which the HTTP layer maps to status codes. Imports nothing."""

from __future__ import annotations

NO_RELEASE_MESSAGE = "no release is in service yet; `make run` or the DAG release_models creates one"


class RequestError(Exception):
    """A request without a response.

    Args:
        message: What is wrong, and the remedy.
        field: Field of the body that is wrong; "" if none is.

    Attributes:
        code: Name of the kind of error, for programs.
        request_id: Id of the request in the log; "" if it has no line there.
    """

    code = ""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field, self.request_id = field, ""


class RequestRejected(RequestError, ValueError):
    """Invalid request; the message names the value and the remedy."""

    code = "invalid_request"


class UnknownTrack(RequestError, LookupError):
    """The release does not have what an id names; the message names both."""

    code = "unknown_id"


class NoItemVectors(RequestError, LookupError):
    """The release has no channel with item vectors; the message names the release."""

    code = "no_item_vectors"


class NoCollections(RequestError, LookupError):
    """The release has no items of the scene's type; the message names both."""

    code = "no_collections"


class NotReady(RequestError, RuntimeError):
    """No release is in service yet, or its models did not respond in time."""

    code = "not_ready"
