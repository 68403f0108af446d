"""A service ends with everything it started, and nothing else does."""

import os
import subprocess
import sys
import time

import psutil

from local import process


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


PARENT = """
import subprocess, sys, time
child = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
print(subprocess.Popen(child, start_new_session=True).pid, flush=True)
time.sleep(600)
"""


def test_stop_ends_children_in_sessions_of_their_own_even_stubborn_ones(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    log = tmp_path / "log"
    program = process.start([sys.executable, "-c", PARENT], os.environ, tmp_path, log)
    wait_for(lambda: log.read_text().strip().isdigit() and len(program.members()) == 2)
    child = int(log.read_text())
    time.sleep(0.5)  # the child has to have set its signal handler
    process.stop(program, timeout_s=1)
    assert not program.is_running()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_process_id_given_to_another_program_is_not_ours(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pid_file = tmp_path / "run" / "service.json"
    process.save(process.BackgroundProcess(stranger.pid, "0123456789abcdef"), pid_file)
    remembered = process.load(pid_file)
    assert not remembered.is_running()
    process.stop(remembered)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_program_that_becomes_another_one_is_running_all_the_while(tmp_path, monkeypatch):
    program = process.start(
        [sys.executable, "-c", "import time; time.sleep(600)"], os.environ, tmp_path, tmp_path / "log"
    )
    try:
        # Between two programs a process has no environment yet; a stranger without one has another id.
        monkeypatch.setattr(psutil.Process, "environ", lambda self: {})
        assert program.is_running()
        assert [member.pid for member in program.members()] == [program.pid]
        monkeypatch.undo()
        wait_for(psutil.Process(program.pid).environ)  # just started, it may itself have none yet
        assert not process.BackgroundProcess(program.pid, "another mark").is_running()
    finally:
        process.stop(program, timeout_s=1)
