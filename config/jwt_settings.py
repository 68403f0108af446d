"""Settings of user tokens: JSON Web Tokens that restrict a client of the recommender to one user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from config.settings import SettingError, read_number

JWT_ALGORITHMS = ("RS256", "ES256", "EdDSA", "HS256")
"""Signature algorithms that can be allowed; the last one shares its secret with the issuer and is not allowed by default."""


@dataclass(frozen=True)
class JwtSettings:
    """How user tokens are verified."""

    key_file: Path  # PEM file of a public key, or a JSON Web Key Set
    issuer: str  # required value of the claim `iss`
    audience: str  # value that the claim `aud` must contain
    algorithms: tuple[str, ...] = JWT_ALGORITHMS[:-1]  # allowed signature algorithms, of JWT_ALGORITHMS
    user_claim: str = "sub"  # claim with the user id
    leeway_s: int = 10  # accepted difference of clocks when a token expires


def load_jwt_settings() -> JwtSettings | None:
    """Return the settings of user tokens from `SEGUE_JWT_*` environment variables; None without `SEGUE_JWT_KEY_FILE`.

    Raises:
        SettingError: The key file does not exist, issuer or audience is missing, or an algorithm is not supported.
    """
    file = os.environ.get("SEGUE_JWT_KEY_FILE")
    if not file:
        return None
    if not Path(file).is_file():
        raise SettingError(
            f"SEGUE_JWT_KEY_FILE={file!r} is not a file; set it to the path of a PEM file with a public key or of a JSON Web "
            "Key Set, or unset it"
        )
    return JwtSettings(
        key_file=Path(file).resolve(),
        issuer=_required("SEGUE_JWT_ISSUER", "https://login.example.org"),
        audience=_required("SEGUE_JWT_AUDIENCE", "segue"),
        algorithms=_algorithms("SEGUE_JWT_ALGORITHMS"),
        user_claim=os.environ.get("SEGUE_JWT_USER_CLAIM") or JwtSettings.user_claim,
        leeway_s=read_number("SEGUE_JWT_LEEWAY_S", JwtSettings.leeway_s, 0, 60),
    )


def _required(name: str, example: str) -> str:
    if not (value := os.environ.get(name, "")):
        raise SettingError(
            f"{name} is not set; with SEGUE_JWT_KEY_FILE, set it to the value in the tokens, for example {example}, so that "
            "tokens issued for other services are rejected"
        )
    return value


def _algorithms(name: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in os.environ.get(name, "").split(",") if part.strip())
    if unknown := [algorithm for algorithm in chosen if algorithm not in JWT_ALGORITHMS]:
        raise SettingError(
            f"{name} has {unknown[0]!r}; use some of {', '.join(JWT_ALGORITHMS)}, separated by commas, or unset it for "
            f"{', '.join(JwtSettings.algorithms)}"
        )
    return chosen or JwtSettings.algorithms
