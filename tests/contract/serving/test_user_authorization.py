"""Every API method that takes user ids rejects other users than the token's; the paths without this check are closed."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Send

from serving import service
from serving.http.access_policy import AccessControl
from serving.http.user_tokens import AUTHENTICATED_USER, USER_PATHS

METHODS = {f"/{name}": method.func for name, method in service.Recommender.apis.items()}


def call_as(user: str | None, path: str, **arguments):
    """The response of an API method of a service that has no runtime: it would raise if the method used it."""
    recommender = object.__new__(service.Recommender.inner)
    before = AUTHENTICATED_USER.set(user)
    try:
        return METHODS[path](recommender, **arguments)
    finally:
        AUTHENTICATED_USER.reset(before)


def test_paths_of_users_are_those_with_user_ids() -> None:
    parameters = {path: set(inspect.signature(method).parameters) for path, method in METHODS.items()}
    with_users = {path for path, names in parameters.items() if names & {"user_id", "events"}}
    assert set(USER_PATHS) == with_users


@pytest.mark.parametrize("path", sorted(set(USER_PATHS) - {"/events"}))
@pytest.mark.parametrize("other", ["you", "ME", "me ", "", "m\u0435"])
def test_other_users_are_rejected(path: str, other: str) -> None:
    required = {
        "/similar": {"track_id": "t"},
        "/explain": {"track_id": "t"},
        "/path": {"from_track": "t", "to_track": "v"},
        "/erase": {"confirm": "me"},
    }
    more = required.get(path, {})
    response = call_as("me", path, user_id=other, **more)
    assert response.status_code == 403 and "token" in json.loads(response.body)["error"]
    for user in ("me", None):
        with pytest.raises(AttributeError, match="_runtime"):
            call_as(user, path, user_id="me", **more)


@pytest.mark.parametrize(
    "rows",
    [
        [{"user_id": "you"}],
        [{"user_id": "me"}, {"user_id": "you"}],
        [{"user_id": ["me"]}],
        [{"user_id": None}],
        [{}],
        [["user_id", "me"]],
        ["me"],
        [None],
    ],
)
def test_report_with_an_event_of_another_user_is_rejected(rows: list[object]) -> None:
    assert call_as("me", "/events", events=rows).status_code == 403
    with pytest.raises(AttributeError, match="_runtime"):
        call_as("me", "/events", events=[{"user_id": "me"}, {"user_id": "me"}])


def test_an_api_key_erases_no_user_even_if_its_file_changes_after_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, file, responses = "k" * 20, tmp_path / "keys", []
    file.write_text(key)
    monkeypatch.setenv("SEGUE_API_KEYS_FILE", str(file))

    async def erase(scope: Message, receive: Receive, send: Send) -> None:
        responses.append(call_as(None, "/erase", user_id="me", confirm="me"))
        with pytest.raises(AttributeError, match="_runtime"):
            call_as("me", "/erase", user_id="me", confirm="me")

    control = AccessControl(erase, service._access_policy(), pytest.fail)
    scope = {"type": "http", "method": "POST", "path": "/erase", "query_string": b"", "client": ("10.0.0.1", 5)}
    scope |= {"server": ("127.0.0.1", 3000), "headers": [(b"authorization", f"Bearer {key}".encode())]}
    for change in (lambda: None, lambda: file.write_text(""), file.unlink):
        change()
        asyncio.run(control(scope, None, None))
    assert [response.status_code for response in responses] == [403, 403, 403]
    assert all("privacy.erase" in json.loads(response.body)["detail"] for response in responses)
