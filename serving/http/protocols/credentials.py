"""Where each protocol has its credential and its user. Read from headers only, before the body is received.

| protocol | API key of a backend | token of a user | service without keys |
|---|---|---|---|
| own | `Authorization: Bearer KEY`, user in the body | `Authorization: Bearer JWT` | user in the body |
| ListenBrainz | `Authorization: Token KEY:USER` | `Authorization: Token JWT` | `Authorization: Token USER` |

Texts are UTF-8.
"""

from __future__ import annotations

from starlette.types import Message

LISTENBRAINZ_PREFIX = "/1/"


def read_credential(scope: Message) -> str:
    """The API key or token of a request; "" without one, or with several."""
    scheme, credential = _authorization(scope)
    if scope["path"].startswith(LISTENBRAINZ_PREFIX) and scheme == "token":
        return credential.partition(":")[0]
    return credential if scheme == "bearer" else ""


def read_listenbrainz_user(scope: Message, has_credentials: bool) -> str:
    """The user that the token names; "" if it names none.

    Args:
        scope: The request.
        has_credentials: Whether the service has API keys, so that the user follows the key.
    """
    scheme, credential = _authorization(scope)
    if scheme != "token":
        return ""
    return credential.partition(":")[2] if has_credentials else credential


def _authorization(scope: Message) -> tuple[str, str]:
    """Scheme in lower case and credential of the header Authorization; both "" without one, or with several."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, credential = given[0].decode(errors="replace").partition(" ") if len(given) == 1 else ("", "", "")
    return scheme.lower(), credential.strip()
