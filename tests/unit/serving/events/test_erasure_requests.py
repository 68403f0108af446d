"""Requests to erase data: the list changes at once, and one erasure runs at a time."""

import fcntl
import threading

import pytest

from config import settings
from serving.events.erasure_requests import ErasureBusy, ErasureRequests
from storage.suppression_list import read_suppression_list
from storage.unfinished_erasures import UNSIGNED_EXIT_CODE, read_unfinished, remove_unfinished


@pytest.fixture
def here(tmp_path):
    return settings.Settings(tmp_path, "127.0.0.1", 1, 1, 1, 1)


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
    may_end, begun, runs = threading.Event(), threading.Event(), []

    def run(_):
        runs.append(threading.active_count())
        begun.set()
        may_end.wait(60)
        return 2 - len(runs)  # the first one fails, and the next request follows it at once

    requests = ErasureRequests(here, run)
    assert requests.start()
    begun.wait(60)
    assert requests.start() and requests.start()
    may_end.set()
    requests.join()
    assert len(runs) == 2


def test_without_the_command_an_operator_erases(here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not ErasureRequests(here, run=lambda _: pytest.fail("it is not installed")).start()


def test_a_failed_erasure_is_repeated(here):
    outcomes = [OSError("no space left on device"), 2, 0]

    def run(_):
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    requests = ErasureRequests(here, run, pauses_s=(0.01,))
    assert requests.start()
    requests.join()
    assert outcomes == []


def test_an_erasure_that_leaves_a_release_unsigned_is_not_repeated(here):
    runs = []
    requests = ErasureRequests(here, run=lambda _: runs.append(1) or UNSIGNED_EXIT_CODE, pauses_s=(0.01,))
    requests.start()
    requests.join()
    assert runs == [1]


def test_a_closed_service_does_not_repeat_an_erasure(here):
    runs = []
    requests = ErasureRequests(here, run=lambda _: runs.append(1) or 2, pauses_s=(60.0,))
    requests.start()
    requests.close()
    requests.join()
    assert len(runs) <= 1


def test_an_unfinished_erasure_is_resumed_by_the_next_service(here):
    ErasureRequests(here).suppress("u")
    assert read_unfinished(here.home) == {"u"}
    resumed = ErasureRequests(here, run=lambda here: remove_unfinished(here.home, ["u"]) or 0)
    resumed.resume()
    resumed.join()
    assert read_unfinished(here.home) == set()
    runs = []
    idle = ErasureRequests(here, run=lambda _: runs.append(1) or 0)
    idle.resume()
    idle.join()
    assert runs == []
