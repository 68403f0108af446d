"""User tokens: which are valid, for which paths, and as whom their client counts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import OKPAlgorithm

from config.settings import JwtSettings, SettingError
from serving.http.user_tokens import USER_PATHS, UserTokens
from tests.unit.serving.http.test_access_policy import KEY, House

ISSUER, AUDIENCE, SECRET = "https://login.example", "segue", b"s" * 32
PRIVATE = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public_pem(private) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def secret_key_set(secret: bytes = SECRET) -> bytes:
    return json.dumps({"keys": [{"kty": "oct", "k": encode(secret)}]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    chosen = {"sub": "me", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 86_400} | changes
    return {name: value for name, value in chosen.items() if value is not None}


def token(algorithm: str = "EdDSA", key: Any = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key or PRIVATE[algorithm], algorithm, headers)


def tokens(folder: Path, content: bytes, **changes: Any) -> UserTokens:
    (folder / "key").write_bytes(content)
    return UserTokens(JwtSettings(**{"key_file": folder / "key", "issuer": ISSUER, "audience": AUDIENCE} | changes))


def hmac_token(secret: bytes) -> str:
    """A token that is signed with the secret, however short or known it is."""
    signed = f"{encode(json.dumps({'alg': 'HS256'}).encode())}.{encode(json.dumps(claims()).encode())}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def unsigned_token(algorithm: str) -> str:
    return "".join(f"{encode(json.dumps(part).encode())}." for part in ({"alg": algorithm, "typ": "JWT"}, claims()))


def signed_by_another(headers: dict[str, Any]) -> str:
    attacker = ed25519.Ed25519PrivateKey.generate()
    return token(key=attacker, headers=headers | {"jwk": OKPAlgorithm.to_jwk(attacker.public_key(), as_dict=True)})


def with_changed_claims() -> str:
    header, _, signature = token().split(".")
    return f"{header}.{encode(json.dumps(claims(sub='other')).encode())}.{signature}"


PEM = {algorithm: public_pem(private) for algorithm, private in PRIVATE.items()}
OLD, NEW = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
KEY_SET = json.dumps({"keys": [OKPAlgorithm.to_jwk(one.public_key(), as_dict=True) for one in (OLD, NEW)]}).encode()
HS256, NOW_S = {"algorithms": ("HS256",)}, int(time.time())


@pytest.mark.parametrize(
    ("content", "changes", "shown", "user"),
    [
        *(
            pytest.param(PEM[own], {}, token(other), "me" if own == other else None, id=f"{other} for a key of {own}")
            for own in PEM
            for other in PEM
        ),
        pytest.param(PEM["EdDSA"], {}, token(sub="用户"), "用户", id="utf-8"),
        *(
            pytest.param(KEY_SET, {}, token(key=key, headers={"kid": "2"}), "me", id=f"{name} key of a set")
            for name, key in {"first": OLD, "second": NEW}.items()
        ),
        pytest.param(KEY_SET, {}, token(), None, id="no key of a set"),
        pytest.param(secret_key_set(), HS256, token("HS256", SECRET), "me", id="shared secret"),
        *(
            pytest.param(PEM["EdDSA"], {"user_claim": "listener"}, token(listener=value), user, id=f"claim {value}")
            for value, user in (
                ("u7", "u7"),
                (None, None),
                (7, None),
                (["u7"], None),
                ({"id": "u7"}, None),
                (True, None),
            )
        ),
        *(
            pytest.param(content, changes, unsigned_token(algorithm), None, id=f"unsigned {algorithm} {name}")
            for algorithm in ("none", "None", "NONE", "")
            for name, content, changes in (("public", PEM["RS256"], {}), ("secret", secret_key_set(), HS256))
        ),
        # Key confusion: an HMAC with the public key, which everybody knows, as its secret.
        *(
            pytest.param(
                PEM[name], {"algorithms": (name, "HS256")}, hmac_token(secret), None, id=f"HMAC {name} {number}"
            )
            for name, private in PRIVATE.items()
            for number, secret in enumerate(
                (PEM[name], PEM[name].strip(), private.public_key().public_bytes_raw() if name == "EdDSA" else b"")
            )
        ),
        *(
            pytest.param(PEM["EdDSA"], {}, invalid, None, id=f"malformed {number}")
            for number, invalid in enumerate(
                ("", ".", "..", "a.b.c", "é.é.é", "\udcff", encode(b"[" * 12_000) + ".e30.", "." * 10_000)
            )
        ),
        pytest.param(PEM["EdDSA"], {}, with_changed_claims(), None, id="changed claims"),
        pytest.param(PEM["EdDSA"], {}, signed_by_another({"kid": "/dev/null"}), None, id="signed by another"),
        *(
            pytest.param(PEM["EdDSA"], {}, token(**{name: value}), None, id=f"{name} {number}")
            for number, (name, value) in enumerate(
                (
                    ("exp", None),
                    ("exp", NOW_S - 60),
                    ("nbf", NOW_S + 86_400),
                    ("iss", None),
                    ("iss", "https://other.example"),
                    ("aud", None),
                    ("aud", "other"),
                    ("sub", None),
                    ("sub", ""),
                    ("sub", "\ud800"),
                )
            )
        ),
    ],
)
def test_only_valid_tokens_name_a_user(
    tmp_path: Path, content: bytes, changes: dict[str, Any], shown: str, user: str | None
) -> None:
    assert tokens(tmp_path, content, **changes).read_user(shown) == user


UNUSABLE = [
    b"",
    b"secret",
    b"[]",
    b'{"keys": []}',
    b'{"keys": [{}]}',
    b'{"keys": [{"kty": "oct", "k": "", "alg": "none"}]}',
    b'{"keys": [{"kty": "RSA", "alg": "HS256", "n": "AQAB", "e": "AQAB"}]}',
    b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    PRIVATE["EdDSA"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    public_pem(ec.generate_private_key(ec.SECP384R1())),
    public_pem(rsa.generate_private_key(65537, 1024)),
    json.dumps({"keys": [OKPAlgorithm.to_jwk(PRIVATE["EdDSA"], as_dict=True)]}).encode(),
]


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (secret_key_set(), {}, r"HS256.*SEGUE_JWT_ALGORITHMS"),
        (secret_key_set(b"s" * 31), HS256, "31 bytes long"),
        *((content, {}, "SEGUE_JWT_KEY_FILE") for content in UNUSABLE),
    ],
)
def test_unusable_key_file_is_an_error_that_names_the_setting(
    tmp_path: Path, content: bytes, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message) as error:
        tokens(tmp_path, content, **changes)
    assert "AQAB" not in str(error.value)


def test_user_token_opens_paths_of_users_only(tmp_path: Path) -> None:
    house = House([KEY], tokens=tokens(tmp_path, PEM["EdDSA"]))
    mine = f"Bearer {token()}".encode()
    for path in (*USER_PATHS, "/media/preview/t1", "/media/cover/t1"):
        assert house.ask(path, key=mine)[0] == 200
    for path in ("/listeners", "/status", "/schema.json", "/nowhere", "/recommend/", "/Recommend", "/livez", "/media"):
        status, _, body = house.ask(path, key=mine)
        assert status == 403 and "use an API key" in json.loads(body)["error"]
        assert house.ask(path, key=f"Bearer {KEY}".encode())[0] == 200
    assert house.away.count("not_for_users") == 8


def test_tokens_alone_require_credentials_on_every_address(tmp_path: Path) -> None:
    house = House(tokens=tokens(tmp_path, PEM["EdDSA"]))
    status, headers, body = house.ask()
    assert (status, headers[b"www-authenticate"], house.came) == (401, b"Bearer", [])
    assert "token" in json.loads(body)["error"]
    assert house.ask(key=f"Bearer {token()}".encode(), server=("10.0.0.7", 3000))[0] == 200
    assert house.ask(key=f"Bearer {token(exp=1)}".encode())[0] == 401


def test_rate_limit_counts_per_user_whatever_the_token(tmp_path: Path) -> None:
    house = House(per_s=1, tokens=tokens(tmp_path, PEM["EdDSA"]))
    statuses = [house.ask(key=f"Bearer {token(jti=str(number))}".encode())[0] for number in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert house.ask(key=f"Bearer {token(sub='other')}".encode())[0] == 200
    assert [house.ask(key=b"Bearer forged.to.ken")[0] for _ in range(3)] == [401, 401, 429]
