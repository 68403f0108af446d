"""User tokens: JSON Web Tokens (RFC 7519) that identify one user, and the rule that their client acts for this user only.

A key is bound to one algorithm when it is read, so neither the header of a token nor a public key used as a secret can choose
how a token is verified (RFC 8725).
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from config.settings import JwtSettings, SettingError
from event_store.event_rules import is_printable
from serving.http.catalog_entries import KINDS

USER_PATHS = (
    "/recommend",
    "/similar",
    "/path",
    "/listener",
    "/library",
    "/taste",
    "/export",
    "/erase",
    "/explain",
    "/events",
    "/search",
)
"""Paths that user tokens are accepted for. Their API methods check user ids by `names_other_user`."""
USER_PREFIXES = (*(f"/{kind}s/" for kind in KINDS), "/media/", "/1/")
"""Beginnings of paths that user tokens are accepted for: the catalog and media, which do not depend on the user, and ListenBrainz,
where the user is always the one of the token."""
ALGORITHMS: Mapping[type, Any] = {
    RSAPublicKey: RSAAlgorithm,
    EllipticCurvePublicKey: ECAlgorithm,
    Ed25519PublicKey: OKPAlgorithm,
}
"""Kinds of keys in PEM files."""
OTHER_USER_MESSAGE = "this token may name its own user only; send the user_id of the token, or use an API key"

AUTHENTICATED_USER: contextvars.ContextVar[str | None] = contextvars.ContextVar("authenticated_user", default=None)
"""The user of the token of the current request; None for a request that may name any user."""
HAS_CREDENTIALS: contextvars.ContextVar[bool] = contextvars.ContextVar("has_credentials", default=False)
"""Whether the service of the current request has had API keys or user tokens since it started."""


class UserTokens:
    """Verifies user tokens.

    Raises:
        SettingError: The key file has no usable key.
    """

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._keys = [_check_key(key, settings) for key in _read_keys(settings.key_file)]

    def read_user(self, token: str) -> str | None:
        """The user id in a valid token; None for an invalid one. Every key is tried, whatever the token's header names."""
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name],
                    issuer=self._settings.issuer,
                    audience=self._settings.audience,
                    leeway=self._settings.leeway_s,
                    options={"require": ["exp", "iss", "aud", self._settings.user_claim]},
                )
            except (jwt.PyJWTError, RecursionError, ValueError):
                continue
            user = claims[self._settings.user_claim]
            return user if isinstance(user, str) and user and is_printable(user) else None
        return None


def names_other_user(user_ids: Iterable[object]) -> bool:
    """Whether the token of the current request is not valid for one of these user ids."""
    user = AUTHENTICATED_USER.get()
    return user is not None and any(user_id != user for user_id in user_ids)


def _read_keys(path: Path) -> list[jwt.PyJWK]:
    try:
        content = path.read_bytes()
        if b"-----BEGIN" in content:
            return [_key_of_pem(content)]
        entries = json.loads(content)["keys"]
        keys = [jwt.PyJWK(entry) for entry in entries]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError, jwt.PyJWTError) as error:
        # Without the text of the error, which may contain a key.
        raise SettingError(
            f"SEGUE_JWT_KEY_FILE={str(path)!r} cannot be read as a key ({type(error).__name__}); it must be a PEM file with an "
            "RSA, P-256 or Ed25519 public key, or a JSON Web Key Set with such keys"
        ) from None
    if not keys:
        raise SettingError(f"SEGUE_JWT_KEY_FILE={str(path)!r} has no keys; add at least one public key")
    if any("d" in entry for entry in entries):
        raise SettingError(
            f"SEGUE_JWT_KEY_FILE={str(path)!r} has a private key; keep it with the issuer and use the public key"
        )
    return keys


def _key_of_pem(content: bytes) -> jwt.PyJWK:
    key = load_pem_public_key(content)
    for kind, algorithm in ALGORITHMS.items():
        if isinstance(key, kind):
            return jwt.PyJWK(algorithm.to_jwk(key, as_dict=True))
    raise TypeError(type(key))


def _check_key(key: jwt.PyJWK, settings: JwtSettings) -> jwt.PyJWK:
    if key.algorithm_name not in settings.algorithms:
        raise SettingError(
            f"SEGUE_JWT_KEY_FILE={str(settings.key_file)!r} has a key for {key.algorithm_name}, which is not one of "
            f"{', '.join(settings.algorithms)}; remove the key, or set SEGUE_JWT_ALGORITHMS"
        )
    if problem := key.Algorithm.check_key_length(key.Algorithm.prepare_key(key.key)):
        raise SettingError(f"SEGUE_JWT_KEY_FILE={str(settings.key_file)!r}: {problem} Use a longer key")
    return key
