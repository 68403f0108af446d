"""Requests to erase data: the list changes at once, and one erasure runs at a time."""

import fcntl
from unittest import mock

import pytest

from serving.events import erasure_requests
from serving.events.erasure_requests import ErasureBusy, ErasureRequests
from storage import suppression_list
from storage.file_lock import file_lock
from storage.suppression_list import (
    UNSIGNED_EXIT_CODE,
    SuppressionList,
    read_suppression_list,
    read_unfinished,
    remove_unfinished,
)


def test_the_list_is_not_changed_while_the_command_changes_it(here):
    (here.home / "run").mkdir()
    with (here.home / "run" / "forget.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ErasureBusy, match="again in a minute"):
            ErasureRequests(here, run=lambda _: 0).suppress("u")
    assert not here.suppression_list.exists()


def test_without_the_command_an_operator_erases(here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    requests = ErasureRequests(here, run=lambda _: pytest.fail("it is not installed"))
    assert not requests.suppress("u") and "u" in read_suppression_list(here.suppression_list)
    requests.work()


@pytest.mark.parametrize(
    "outcomes",
    [[OSError("no space left on device"), 2, 0], [UNSIGNED_EXIT_CODE]],
    ids=["failed", "a release is left unsigned"],
)
def test_an_erasure_is_repeated_until_it_succeeds(here, outcomes, monkeypatch):
    monkeypatch.setattr(erasure_requests, "PAUSE_S", 0.0)
    command = mock.Mock(side_effect=outcomes)

    def run(here):
        code = command()
        if command.call_count == len(outcomes):
            remove_unfinished(here.home, ["u"])
        return code

    requests = ErasureRequests(here, run)
    assert requests.suppress("u")
    for _ in range(5):
        requests.work()
    assert command.call_count == len(outcomes) and read_unfinished(here.home) == set()


def test_the_request_of_an_erased_user_starts_nothing(here):
    runs = []
    requests = ErasureRequests(here, run=lambda here: runs.append(1) or remove_unfinished(here.home, ["u"]) or 0)
    assert requests.suppress("u") and requests.suppress("u")
    requests.work()
    content = here.suppression_list.read_bytes()
    for requester in (requests, ErasureRequests(here, run=lambda _: pytest.fail("the user is erased"))):
        assert not requester.suppress("u")
        requester.work()
    assert runs == [1] and read_unfinished(here.home) == set() and here.suppression_list.read_bytes() == content
    assert requests.suppress("v")


def test_only_a_new_request_shortens_the_pause_after_a_failure(here):
    command = mock.Mock(return_value=2)
    requests = ErasureRequests(here, command)
    requests.suppress("u")
    for _ in range(3):
        requests.work()
        assert requests.suppress("u")
    assert command.call_count == 1
    requests.suppress("v")
    requests.work()
    assert command.call_count == 2


def test_a_request_that_is_killed_is_carried_out_when_it_is_repeated(here, monkeypatch):
    for module, name in ((suppression_list, "add_unfinished"), (SuppressionList, "write")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                ErasureRequests(here).suppress("u")
        assert "u" not in read_suppression_list(here.suppression_list)
    assert ErasureRequests(here).suppress("u")


def test_an_unfinished_erasure_is_resumed_by_the_next_service(here):
    ErasureRequests(here).suppress("u")
    (here.home / "run").mkdir(exist_ok=True)
    with file_lock(here.home / "run" / "forget.lock"):
        ErasureRequests(here, run=lambda _: pytest.fail("an operator erases")).work()
    assert read_unfinished(here.home) == {"u"}
    ErasureRequests(here, run=lambda here: remove_unfinished(here.home, ["u"]) or 0).work()
    assert read_unfinished(here.home) == set()
