"""Background processes: stop ends all children and nothing else."""

import os
import subprocess
import sys
import time

import psutil
import pytest

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


def test_stop_ends_children_in_other_sessions_that_ignore_sigterm(tmp_path):
    unrelated = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    log = tmp_path / "log"
    program = process.start([sys.executable, "-c", PARENT], os.environ, tmp_path, log)
    wait_for(lambda: log.read_text().strip().isdigit() and len(program.members()) == 2)
    child = int(log.read_text())
    time.sleep(0.5)  # the child has to have set its signal handler
    process.stop(program, timeout_s=1)
    assert not program.is_running()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert unrelated.poll() is None
    unrelated.kill()
    unrelated.wait()


def test_a_reused_process_id_is_not_recognized(tmp_path):
    unrelated = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pid_file = tmp_path / "run" / "service.json"
    process.save(process.BackgroundProcess(unrelated.pid, "0123456789abcdef"), pid_file)
    loaded = process.load(pid_file)
    assert not loaded.is_running()
    process.stop(loaded)
    assert unrelated.poll() is None
    unrelated.kill()
    unrelated.wait()


@pytest.mark.parametrize("created_s", [None, 1_700_000_000.0])
def test_a_reused_process_id_of_a_program_without_environment_is_not_recognized(tmp_path, created_s):
    unrelated = subprocess.Popen(["env", "-i", sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        wait_for(lambda: not psutil.Process(unrelated.pid).environ())
        pid_file = tmp_path / "run" / "service.json"
        process.save(process.BackgroundProcess(unrelated.pid, "0123456789abcdef", created_s), pid_file)
        loaded = process.load(pid_file)
        assert not loaded.is_running()
        process.stop(loaded, timeout_s=1)
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


def test_pid_files_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "service.json").write_text('{"pid": 7, "mark": "0123456789abcdef"}')
    assert process.load(tmp_path / "service.json") == process.BackgroundProcess(7, "0123456789abcdef")


def test_a_program_is_running_during_exec(tmp_path, monkeypatch):
    program = process.start(
        [sys.executable, "-c", "import time; time.sleep(600)"], os.environ, tmp_path, tmp_path / "log"
    )
    try:
        # During exec the environment is empty; an unrelated process without environment has another id.
        monkeypatch.setattr(psutil.Process, "environ", lambda self: {})
        assert program.is_running()
        assert [member.pid for member in program.members()] == [program.pid]
        monkeypatch.undo()
        wait_for(psutil.Process(program.pid).environ)  # empty just after the start
        assert not process.BackgroundProcess(program.pid, "another mark").is_running()
    finally:
        process.stop(program, timeout_s=1)
