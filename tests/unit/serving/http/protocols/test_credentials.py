"""Credentials and users of each protocol, from headers."""

import pytest

from serving.http.protocols.credentials import read_credential, read_listenbrainz_user


def scope(path, authorization=(), query=b""):
    return {"path": path, "headers": [(b"authorization", value) for value in authorization], "query_string": query}


@pytest.mark.parametrize(
    ("path", "authorization", "query", "credential"),
    [
        ("/recommend", [b"Bearer KEY"], b"", "KEY"),
        ("/recommend", [b"bearer  KEY "], b"", "KEY"),
        ("/recommend", [b"Token KEY"], b"", ""),
        ("/recommend", [b"Bearer KEY", b"Bearer KEY"], b"", ""),
        ("/recommend", [], b"apiKey=KEY&p=KEY", ""),
        ("/1/submit-listens", [b"Token KEY:u:1"], b"", "KEY"),
        ("/1/submit-listens", [b"Bearer KEY"], b"", "KEY"),
        ("/1/submit-listens", [], b"apiKey=KEY", ""),
    ],
)
def test_credential(path, authorization, query, credential):
    assert read_credential(scope(path, authorization, query)) == credential


@pytest.mark.parametrize(
    ("authorization", "has_credentials", "user"),
    [
        (b"Token KEY:u:1", True, "u:1"),
        (b"Token KEY", True, ""),
        (b"Token u:1", False, "u:1"),
        (b"Bearer u", False, ""),
        ("Token Jürgen".encode(), False, "Jürgen"),
        ("Token 小明".encode(), False, "小明"),
        ("Token Jürgen".encode("latin-1"), False, "J\ufffdrgen"),  # which the contract of events rejects
    ],
)
def test_user_of_listenbrainz_tokens(authorization, has_credentials, user):
    assert read_listenbrainz_user(scope("/1/submit-listens", [authorization]), has_credentials) == user
