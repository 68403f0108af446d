"""Requests to erase data: the list changes at once, and one erasure runs at a time."""

import fcntl
from unittest import mock

import pytest

from serving.events.erasure_requests import ErasureBusy, ErasureRequests
from storage import unfinished_erasures
from storage.suppression_list import SuppressionList, read_suppression_list
from storage.unfinished_erasures import UNSIGNED_EXIT_CODE, read_unfinished, remove_unfinished


def test_a_user_is_suppressed_at_once_and_others_are_not(here):
    requests = ErasureRequests(here, run=lambda _: 0)
    requests.suppress("u")
    requests.suppress("v")
    users = read_suppression_list(here.suppression_list)
    assert "u" in users and "v" in users and "w" not in users


def test_the_list_is_not_changed_while_the_command_changes_it(here):
    (here.home / "run").mkdir()
    with (here.home / "run" / "forget.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ErasureBusy, match="again in a minute"):
            ErasureRequests(here, run=lambda _: 0).suppress("u")
    assert not here.suppression_list.exists()


def test_requests_during_an_erasure_are_carried_out_after_it(here):
    runs = []

    def run(_):
        runs.append(1)
        assert len(runs) > 1 or (requests.start() and requests.start())
        return 2 - len(runs)  # the first one fails, and the next request follows it at once

    requests = ErasureRequests(here, run)
    assert requests.start()
    for _ in range(3):
        requests.work()
    assert len(runs) == 2


def test_without_the_command_an_operator_erases(here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not ErasureRequests(here, run=lambda _: pytest.fail("it is not installed")).start()


@pytest.mark.parametrize(
    ("outcomes", "runs"),
    [([OSError("no space left on device"), 2, 0], 3), ([UNSIGNED_EXIT_CODE, 0], 1)],
    ids=["failed", "a release is left unsigned"],
)
def test_a_failed_erasure_is_repeated(here, outcomes, runs):
    command = mock.Mock(side_effect=outcomes)
    requests = ErasureRequests(here, command, pauses_s=(0.0,))
    assert requests.start()
    for _ in range(4):
        requests.work()
    assert command.call_count == runs


def test_the_request_of_an_erased_user_starts_nothing(here):
    runs = []
    requests = ErasureRequests(here, run=lambda here: runs.append(1) or remove_unfinished(here.home, ["u"]) or 0)
    assert requests.suppress("u") and requests.start()
    requests.work()
    content = here.suppression_list.read_bytes()
    for requester in (requests, ErasureRequests(here, run=lambda _: pytest.fail("the user is erased"))):
        assert not requester.suppress("u") and not requester.repeat("u")
    assert runs == [1] and read_unfinished(here.home) == set() and here.suppression_list.read_bytes() == content
    assert requests.suppress("v")


def test_a_repeated_request_continues_an_unfinished_erasure(here):
    assert ErasureRequests(here).suppress("u")
    runs = []
    requests = ErasureRequests(here, run=lambda here: runs.append(1) or remove_unfinished(here.home, ["u"]) or 0)
    assert not requests.suppress("u") and read_unfinished(here.home) == {"u"}
    assert requests.repeat("u")
    requests.work()
    assert runs == [1]


def test_repeated_requests_do_not_shorten_the_pause_after_a_failure(here):
    command = mock.Mock(return_value=2)
    requests = ErasureRequests(here, command, pauses_s=(60.0,))
    requests.suppress("u")
    requests.start()
    for _ in range(3):
        requests.work()
        assert not requests.suppress("u") and requests.repeat("u")
    assert command.call_count == 1


def test_data_that_came_back_is_searched_once_in_a_while(here):
    SuppressionList().with_users(["u"]).write(here.suppression_list)
    runs = []
    requests = ErasureRequests(here, run=lambda _: runs.append(1) or 0, search_pause_s=0.0)
    assert not requests.suppress("u") and requests.repeat("u")
    requests.work()
    assert runs == [1] and read_unfinished(here.home) == set()


def test_a_request_that_is_killed_is_carried_out_when_it_is_repeated(here, monkeypatch):
    for module, name in ((unfinished_erasures, "add_unfinished"), (SuppressionList, "write")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                ErasureRequests(here).suppress("u")
        assert "u" not in read_suppression_list(here.suppression_list)
    assert ErasureRequests(here).suppress("u")


def test_an_unfinished_erasure_is_resumed_by_the_next_service(here):
    ErasureRequests(here).suppress("u")
    assert read_unfinished(here.home) == {"u"}
    ErasureRequests(here, run=lambda here: remove_unfinished(here.home, ["u"]) or 0).work()
    assert read_unfinished(here.home) == set()
    ErasureRequests(here, run=lambda _: pytest.fail("nothing is unfinished")).work()
