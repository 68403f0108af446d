"""Credentials and users of each protocol, from headers."""

import pytest

from serving.events.event_schema import EventRejected, read_event
from serving.http.protocols.credentials import read_credential, read_listenbrainz_user


def scope(path, authorization=(), query=b""):
    headers = [(b"authorization", value) for value in authorization]
    return {"path": path, "headers": headers, "query_string": query}


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


def test_user_of_listenbrainz_tokens():
    assert read_listenbrainz_user(scope("/1/submit-listens", [b"Token KEY:u:1"]), has_credentials=True) == "u:1"
    assert read_listenbrainz_user(scope("/1/submit-listens", [b"Token KEY"]), has_credentials=True) == ""
    assert read_listenbrainz_user(scope("/1/submit-listens", [b"Token u:1"]), has_credentials=False) == "u:1"
    assert read_listenbrainz_user(scope("/1/submit-listens", [b"Bearer u"]), has_credentials=False) == ""


@pytest.mark.parametrize("user", ["Jürgen", "小明"])
def test_users_are_utf_8(user):
    token = f"Token {user}".encode()
    assert read_listenbrainz_user(scope("/1/submit-listens", [token]), has_credentials=False) == user


def test_bytes_that_are_not_utf_8_name_no_valid_user():
    token = "Token Jürgen".encode("latin-1")
    assert read_listenbrainz_user(scope("/1/submit-listens", [token]), has_credentials=False) == "J\ufffdrgen"
    with pytest.raises(EventRejected, match="not printable"):
        read_event({"user_id": "J\ufffdrgen", "target_type": "track", "target_id": "t", "action": "like"}, 0)
