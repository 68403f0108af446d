"""Process lock: commands of the same name run one at a time."""

import subprocess
import sys
import time

import pytest

WITH_LOCK = [sys.executable, "-m", "local.process_lock"]


pytestmark = pytest.mark.usefixtures("here")


def start(name, *command):
    return subprocess.Popen([*WITH_LOCK, name, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_command_waits_for_another_of_the_same_name_only():
    first = start("build", "sh", "-c", "echo begun; exec sleep 600")
    assert first.stdout.readline() == "begun\n"
    assert start("train", "echo", "at once").communicate(timeout=60)[0] == "at once\n"
    second = start("build", "echo", "at last")
    assert second.stdout.readline().startswith("waiting: another build runs")
    time.sleep(0.3)
    assert second.poll() is None
    first.kill()
    assert second.communicate(timeout=60)[0] == "at last\n"
    assert second.returncode == 0
    first.wait()


def test_the_exit_code_is_that_of_the_command():
    assert subprocess.run([*WITH_LOCK, "build", "sh", "-c", "exit 7"], check=False).returncode == 7
