"""HTTP Basic authentication (RFC 7617) of the operator, for pages without users of their own."""

from __future__ import annotations

import base64
import hmac

OPERATOR = "segue"
CHALLENGE = 'Basic realm="Segue", charset="UTF-8"'
"""Value of the header `WWW-Authenticate` of a 401 response."""


def is_operator(authorization: str, password: str) -> bool:
    """Whether the value of a header `Authorization` is that of the operator with this password; compares in constant time."""
    scheme, _, credentials = authorization.partition(" ")
    expected = base64.b64encode(f"{OPERATOR}:{password}".encode()).decode()
    has_credentials = hmac.compare_digest(credentials.strip().encode(), expected.encode())
    return scheme.lower() == "basic" and has_credentials
