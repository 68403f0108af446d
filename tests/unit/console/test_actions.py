"""The rollback of the operator is recorded before and after it runs, and a form that is sent twice runs it once."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from console import actions
from console.actions import InvalidActionError, read_actions, roll_back
from storage.files import atomic_write


@pytest.mark.parametrize(
    ("result", "code", "output"),
    [
        (subprocess.CompletedProcess([], 0, "rolled back: first is active\n", ""), 0, "rolled back: first is active"),
        (subprocess.TimeoutExpired("releases", 60), -1, "did not end"),
    ],
    ids=["ends", "does not end"],
)
def test_an_action_is_recorded_before_and_after_it_runs(here, monkeypatch, result, code, output):
    recorded = []

    def run(command, **_):
        recorded.append((command[1:], len(read_actions(here))))
        return outcome()

    outcome = mock.Mock(side_effect=[result])
    monkeypatch.setattr(actions.subprocess, "run", run)
    outcome = roll_back(None, "127.0.0.1", here)
    assert recorded == [(["-m", "releases", "rollback"], 1)]
    newest, started = read_actions(here)
    assert (newest["client"], newest["arguments"], newest["code"]) == ("127.0.0.1", ["rollback"], code)
    assert outcome.code == code and output in outcome.output and output in newest["output"] and "code" not in started


def test_a_rollback_that_is_sent_twice_goes_back_one_release(here, monkeypatch):
    pointer = here.releases / "active.json"
    atomic_write(pointer, '{"release": "third"}')

    def run(command, **_):
        time.sleep(0.1)
        pointer.write_text('{"release": "second"}')
        return subprocess.CompletedProcess(command, 0, "rolled back", "")

    def click(_):
        try:
            return roll_back("third", "127.0.0.1", here).code
        except InvalidActionError as error:
            return str(error)

    monkeypatch.setattr(actions.subprocess, "run", run)
    with ThreadPoolExecutor(2) as clicks:
        results = list(clicks.map(click, range(2)))
    assert 0 in results
    assert any(str(result).startswith("second is active now, not third as when the page was") for result in results)
    assert len(read_actions(here)) == 2, "one action"


@pytest.mark.parametrize("damaged", [b'{"time": "t", "cli', b"5", b'{"time": "t"}', b"\xff"])
def test_a_damaged_record_does_not_hide_the_others(here, damaged):
    recorded = b'{"time": "t", "client": "c", "arguments": ["rollback"]}\n'
    atomic_write(actions.log_file(here), recorded + damaged)
    assert [record["arguments"] for record in read_actions(here)] == [["rollback"]]
