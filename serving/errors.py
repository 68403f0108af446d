"""Errors of requests, which the HTTP layer maps to status codes. Imports nothing."""

from __future__ import annotations

NO_RELEASE_MESSAGE = "no release is in service yet; `make run` or the DAG release_models creates one"


class RequestRejected(ValueError):
    """Invalid request; the message names the value and the remedy."""


class UnknownTrack(LookupError):
    """The release does not have what an id names; the message names both."""


class NoItemVectors(LookupError):
    """The release has no channel with item vectors; the message names the release."""


class NoCollections(LookupError):
    """The release has no items of the scene's type; the message names both."""


class NotReady(RuntimeError):
    """No release is in service yet, or its models did not respond in time."""
