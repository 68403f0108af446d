"""Background processes: stop ends all children and nothing else."""

import os
import subprocess
import sys
import time

import psutil

from local import process
from tests.support.waiting import wait_until

PARENT = """
import subprocess, sys, time
child = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
print(subprocess.Popen(child, start_new_session=True).pid, flush=True)
time.sleep(600)
"""


def test_stop_ends_children_in_other_sessions_that_ignore_sigterm(tmp_path):
    log, idle = tmp_path / "log", [sys.executable, "-c", "import time; time.sleep(600)"]
    others = [subprocess.Popen(idle), process.start(idle, os.environ, tmp_path, log, "another mark")]
    program = process.start([sys.executable, "-c", PARENT], os.environ, tmp_path, log, "mark")
    wait_until(lambda: log.read_text().strip().isdigit() and len(process.members("mark")) == 2, "the child")
    child = int(log.read_text())
    time.sleep(0.5)  # the child has to have set its signal handler
    process.stop("mark", timeout_s=1)
    assert program.wait() < 0 and process.members("mark") == []
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    for other in others:
        assert other.poll() is None
        other.kill()
        other.wait()
