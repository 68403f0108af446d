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

from config.settings import JwtSettings, SettingError, load_jwt_settings
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


def private_pem(private) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def secret_key_set(secret: bytes = SECRET) -> bytes:
    return json.dumps({"keys": [{"kty": "oct", "k": encode(secret)}]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    chosen = {"sub": "me", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 300} | changes
    return {name: value for name, value in chosen.items() if value is not None}


def token(algorithm: str = "EdDSA", key: Any = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key or PRIVATE[algorithm], algorithm, headers)


def tokens(folder: Path, content: bytes, **changes: Any) -> UserTokens:
    (folder / "key").write_bytes(content)
    return UserTokens(JwtSettings(**{"key_file": folder / "key", "issuer": ISSUER, "audience": AUDIENCE} | changes))


@pytest.mark.parametrize("algorithm", list(PRIVATE))
def test_token_of_each_asymmetric_algorithm_names_its_user(tmp_path: Path, algorithm: str) -> None:
    reader = tokens(tmp_path, public_pem(PRIVATE[algorithm]))
    assert reader.read_user(token(algorithm)) == "me"
    assert reader.read_user(token(algorithm, sub="用户")) == "用户"
    for other in PRIVATE:
        if other != algorithm:
            assert reader.read_user(token(other)) is None


def test_key_set_may_have_several_keys(tmp_path: Path) -> None:
    old, new = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    keys = [OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for key, kid in ((old, "1"), (new, "2"))]
    reader = tokens(tmp_path, json.dumps({"keys": keys}).encode())
    assert [reader.read_user(token(key=key, headers={"kid": "2"})) for key in (old, new)] == ["me", "me"]
    assert reader.read_user(token()) is None


def test_shared_secret_must_be_allowed_and_long(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"HS256.*SEGUE_JWT_ALGORITHMS"):
        tokens(tmp_path, secret_key_set())
    reader = tokens(tmp_path, secret_key_set(), algorithms=("HS256",))
    assert reader.read_user(token("HS256", SECRET)) == "me"
    with pytest.raises(SettingError, match="31 bytes long"):
        tokens(tmp_path, secret_key_set(b"s" * 31), algorithms=("HS256",))


def test_user_claim_is_text_in_the_claim_of_the_settings(tmp_path: Path) -> None:
    reader = tokens(tmp_path, public_pem(PRIVATE["EdDSA"]), user_claim="listener")
    assert reader.read_user(token(listener="u7")) == "u7"
    for wrong in (None, 7, ["u7"], {"id": "u7"}, True):
        assert reader.read_user(token(listener=wrong)) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_unsigned_tokens_are_rejected(tmp_path: Path, algorithm: str) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    unsigned = f"{encode(header)}.{encode(json.dumps(claims()).encode())}."
    for content, changes in ((public_pem(PRIVATE["RS256"]), {}), (secret_key_set(), {"algorithms": ("HS256",)})):
        assert tokens(tmp_path, content, **changes).read_user(unsigned) is None


def test_public_key_is_not_a_shared_secret(tmp_path: Path) -> None:
    """Key confusion: an HMAC with the public key, which everybody knows, as its secret."""
    for algorithm, private in PRIVATE.items():
        content = public_pem(private)
        header = encode(json.dumps({"alg": "HS256"}).encode())
        signed = f"{header}.{encode(json.dumps(claims()).encode())}"
        for secret in (
            content,
            content.strip(),
            private.public_key().public_bytes_raw() if algorithm == "EdDSA" else b"",
        ):
            forged = f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
            reader = tokens(tmp_path, content, algorithms=(algorithm, "HS256"))
            assert reader.read_user(forged) is None


def signed_by_another(headers: dict[str, Any]) -> str:
    attacker = ed25519.Ed25519PrivateKey.generate()
    return token(key=attacker, headers=headers | {"jwk": OKPAlgorithm.to_jwk(attacker.public_key(), as_dict=True)})


def with_changed_claims() -> str:
    header, _, signature = token().split(".")
    return f"{header}.{encode(json.dumps(claims(sub='other')).encode())}.{signature}"


@pytest.mark.parametrize(
    "invalid",
    [
        *("", ".", "..", "a.b.c", "é.é.é", "\udcff", encode(b"[" * 12_000) + ".e30.", "." * 10_000),
        with_changed_claims(),
        signed_by_another({"kid": "/dev/null"}),
        *(
            token(**changes)
            for changes in (
                {"exp": None},
                {"exp": int(time.time()) - 60},
                {"nbf": int(time.time()) + 86_400},
                {"iss": None},
                {"iss": "https://other.example"},
                {"aud": None},
                {"aud": "other"},
                {"sub": None},
                {"sub": ""},
                {"sub": "\ud800"},
            )
        ),
    ],
    ids=lambda _: "",
)
def test_malformed_forged_expired_and_foreign_tokens_are_rejected(tmp_path: Path, invalid: str) -> None:
    assert tokens(tmp_path, public_pem(PRIVATE["EdDSA"])).read_user(invalid) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"secret",
        b"[]",
        b'{"keys": []}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "oct", "k": "", "alg": "none"}]}',
        b'{"keys": [{"kty": "RSA", "alg": "HS256", "n": "AQAB", "e": "AQAB"}]}',
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        private_pem(PRIVATE["EdDSA"]),
        public_pem(ec.generate_private_key(ec.SECP384R1())),
        public_pem(rsa.generate_private_key(65537, 1024)),
        json.dumps({"keys": [OKPAlgorithm.to_jwk(PRIVATE["EdDSA"], as_dict=True)]}).encode(),
    ],
)
def test_unusable_key_file_is_an_error_that_names_the_setting(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SettingError, match="SEGUE_JWT_KEY_FILE") as error:
        tokens(tmp_path, content)
    assert "AQAB" not in str(error.value)


def test_user_token_opens_paths_of_users_only(tmp_path: Path) -> None:
    reader = tokens(tmp_path, public_pem(PRIVATE["EdDSA"]))
    house = House([KEY], tokens=reader)
    mine = f"Bearer {token()}".encode()
    for path in (*USER_PATHS, "/media/preview/t1", "/media/cover/t1"):
        assert house.ask(path, key=mine)[0] == 200
    for path in ("/listeners", "/status", "/schema.json", "/nowhere", "/recommend/", "/Recommend", "/livez", "/media"):
        status, _, body = house.ask(path, key=mine)
        assert status == 403 and "use an API key" in json.loads(body)["error"]
        assert house.ask(path, key=f"Bearer {KEY}".encode())[0] == 200
    assert house.away.count("not_for_users") == 8


def test_tokens_alone_require_credentials_on_every_address(tmp_path: Path) -> None:
    reader = tokens(tmp_path, public_pem(PRIVATE["EdDSA"]))
    house = House(tokens=reader)
    status, headers, body = house.ask()
    assert (status, headers[b"www-authenticate"], house.came) == (401, b"Bearer", [])
    assert "token" in json.loads(body)["error"]
    assert house.ask(key=f"Bearer {token()}".encode(), server=("10.0.0.7", 3000))[0] == 200
    assert house.ask(key=f"Bearer {token(exp=1)}".encode())[0] == 401


def test_rate_limit_counts_per_user_whatever_the_token(tmp_path: Path) -> None:
    reader = tokens(tmp_path, public_pem(PRIVATE["EdDSA"]))
    house = House(per_s=1, tokens=reader)
    statuses = [house.ask(key=f"Bearer {token(jti=str(number))}".encode())[0] for number in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert house.ask(key=f"Bearer {token(sub='other')}".encode())[0] == 200
    assert [house.ask(key=b"Bearer forged.to.ken")[0] for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("SEGUE_JWT_KEY_FILE", "/none"),
        ("SEGUE_JWT_ISSUER", ""),
        ("SEGUE_JWT_AUDIENCE", ""),
        ("SEGUE_JWT_ALGORITHMS", "none"),
        ("SEGUE_JWT_ALGORITHMS", "RS256,HS512"),
        ("SEGUE_JWT_LEEWAY_S", "61"),
    ],
)
def test_invalid_setting_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, bad: str
) -> None:
    (tmp_path / "key").touch()
    for variable, value in {"KEY_FILE": str(tmp_path / "key"), "ISSUER": ISSUER, "AUDIENCE": AUDIENCE}.items():
        monkeypatch.setenv(f"SEGUE_JWT_{variable}", value)
    monkeypatch.setenv(name, bad)
    with pytest.raises(SettingError, match=name):
        load_jwt_settings()
