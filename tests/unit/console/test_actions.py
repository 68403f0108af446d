"""Actions of the operator: values are checked, every action is recorded before and after it runs."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from console import actions
from console.actions import InvalidActionError, check_action, read_actions, run_action


@pytest.mark.parametrize(
    ("name", "values", "arguments"),
    [
        ("roll_back", {"release": "ignored"}, ["rollback"]),
        ("activate", {"release": "a.1-b_c"}, ["activate", "a.1-b_c"]),
        ("canary", {"release": "a", "percent": "2.5"}, ["canary", "a", "--share", "0.025"]),
        ("canary", {"release": "a", "percent": "0"}, ["canary", "a", "--share", "0"]),
        (
            "start_experiment",
            {"release": "a", "percent": "10", "experiment": "more discoveries"},
            ["canary", "a", "--share", "0.1", "--experiment", "more discoveries"],
        ),
        ("stop_experiment", {"release": "ignored"}, ["end"]),
    ],
)
def test_form_values_become_arguments(name, values, arguments):
    assert check_action(name, values) == arguments


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("delete", {}, "'delete' is not an action; actions are roll_back, activate, canary, start_experiment"),
        ("activate", {}, "release '' is not the id"),
        ("activate", {"release": "../x"}, "is not the id"),
        ("activate", {"release": "--help"}, "is not the id"),
        ("canary", {"release": "-h", "percent": "5"}, "is not the id"),
        ("canary", {"release": "a", "percent": "nan"}, "percent 'nan' is not a number from 0 to 50"),
        ("canary", {"release": "a", "percent": "51"}, "from 0 to 50"),
        ("canary", {"release": "a"}, "from 0 to 50"),
        ("start_experiment", {"release": "a", "percent": "5"}, "experiment '' is not a name"),
        ("start_experiment", {"release": "a", "percent": "5", "experiment": "--force"}, "begin with a letter"),
        ("start_experiment", {"release": "a", "percent": "0", "experiment": "x"}, "percent 0 starts nothing"),
    ],
)
def test_other_values_are_rejected_with_the_remedy(here, name, values, message):
    with pytest.raises(InvalidActionError, match=message):
        run_action(name, values, "127.0.0.1", here)
    assert read_actions(here) == []


def test_an_action_that_does_not_end_is_recorded(here, monkeypatch):
    monkeypatch.setattr(actions.subprocess, "run", mock.Mock(side_effect=subprocess.TimeoutExpired("releases", 60)))
    assert run_action("roll_back", {}, "127.0.0.1", here).code == -1
    newest, started = read_actions(here)
    assert (newest["client"], newest["arguments"], newest["code"]) == ("127.0.0.1", ["rollback"], -1)
    assert "did not end" in newest["output"] and "code" not in started


def test_a_rollback_that_is_sent_twice_goes_back_one_release(here, monkeypatch):
    pointer = here.releases / "active.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text('{"release": "third"}')

    def run(command, **_):
        time.sleep(0.1)
        pointer.write_text('{"release": "second"}')
        return subprocess.CompletedProcess(command, 0, "rolled back", "")

    monkeypatch.setattr(actions.subprocess, "run", run)
    with ThreadPoolExecutor(2) as clicks:
        done = [clicks.submit(run_action, "roll_back", {"active": "third"}, "127.0.0.1", here) for _ in range(2)]
    errors = [str(one.exception()) for one in done if one.exception()]
    assert len(errors) == 1 and errors[0].startswith("second is active now, not third as when the page was")
    assert len(read_actions(here)) == 2, "one action"


@pytest.mark.parametrize("damaged", [b'{"time": "t", "cli', b"5", b'{"time": "t"}', b"\xff"])
def test_a_damaged_record_does_not_hide_the_others(here, damaged):
    file = actions.log_file(here)
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"time": "t", "client": "c", "arguments": ["rollback"]}\n' + damaged)
    assert [record["arguments"] for record in read_actions(here)] == [["rollback"]]
