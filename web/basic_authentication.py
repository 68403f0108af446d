"""HTTP Basic authentication (RFC 7617) of the operator, for pages without users of their own."""

from __future__ import annotations

import base64
import hmac

from web.rate_limit import RateLimit

OPERATOR = "segue"
CHALLENGE = 'Basic realm="Segue", charset="UTF-8"'
"""Value of the header `WWW-Authenticate` of a 401 response."""
GUESSES, GUESSES_PER_S = 10, 1 / 6
"""Wrong passwords that an address may send at once, and per second."""


class OperatorPassword:
    """The operator's password; after too many wrong ones of an address, none of it is read for a while. Thread-safe.

    Args:
        password: The password; empty: none is required.
        guesses: The limit of wrong passwords.
    """

    def __init__(self, password: str, guesses: RateLimit | None = None) -> None:
        self._password = password
        self._guesses = RateLimit(GUESSES_PER_S, GUESSES) if guesses is None else guesses

    def __bool__(self) -> bool:
        """Whether there is a password."""
        return bool(self._password)

    def check(self, authorization: str, address: str) -> tuple[int, dict[str, str]]:
        """Status and headers of the response to a header `Authorization`: 200 for the operator; 401, or 429 while the address
        must wait.

        A request without the header is no guess: a browser sends it first. Compares in constant time.
        """
        if authorization and (wait_s := self._guesses.wait_s(address)):
            return 429, {"Retry-After": str(wait_s)}
        scheme, _, credentials = authorization.partition(" ")
        expected = base64.b64encode(f"{OPERATOR}:{self._password}".encode())
        if hmac.compare_digest(credentials.strip().encode(), expected) and scheme.lower() == "basic":
            return 200, {}
        if authorization:
            self._guesses.charge(address, 1)
        return 401, {"WWW-Authenticate": CHALLENGE}
