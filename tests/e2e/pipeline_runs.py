"""A run of the whole pipeline in a separate home, with its duration and peak memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from local import process
from storage.files import read_json, write_json
from tests.support import acceptance_plugin
from tests.support.pipeline_commands import run_to_end

POLL_INTERVAL_S = 3


def environment(home: Path, ports: dict[str, str]) -> dict[str, str]:
    """Environment of a command that uses `home`."""
    return {**os.environ, **ports, "SEGUE_HOME": str(home)}


def gigabytes(home: Path) -> float:
    """Memory of the services of `home` and their children in GiB; shared memory counts once."""
    total = 0
    for member in process.members(str(home)):
        with suppress(psutil.Error):
            total += member.memory_full_info().pss
    return total / 2**30


def run_once(home: Path, arguments: list[str], variables: dict[str, str]) -> dict[str, object]:
    """Run `local.run` in a fresh home, unless a run with this code and these inputs has succeeded there.

    A killed run continues in its home, and its minutes are added.

    Returns:
        `minutes`, `peak_gb`, `attempts`, `output`, `as_of`.

    Raises:
        AssertionError: The run failed; the message is the end of its output.
    """
    run_to_end([sys.executable, "-m", "local.services", "stop"], variables)  # what a killed run left
    record_file = home.with_name(f"{home.name}.json")
    record = read_json(record_file)
    if record.get("key") != acceptance_plugin.key():
        shutil.rmtree(home, ignore_errors=True)
        record = {"key": acceptance_plugin.key(), "minutes": 0.0, "peak_gb": 0.0, "attempts": 0, "is_done": False}
    if record["is_done"]:
        return record
    record["attempts"] += 1
    minutes_before, start = record["minutes"], time.monotonic()
    home.mkdir(parents=True, exist_ok=True)
    log = home / f"run_{record['attempts']}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "local.run", *arguments]
        run = subprocess.Popen(command, cwd=acceptance_plugin.ROOT, env=variables, stdout=output, stderr=output)
    try:
        while run.poll() is None:
            record["peak_gb"] = max(record["peak_gb"], round(gigabytes(home), 2))
            record["minutes"] = round(minutes_before + (time.monotonic() - start) / 60, 2)
            write_json(record_file, record)
            time.sleep(POLL_INTERVAL_S)
    finally:
        run.terminate()
    record |= {"minutes": round(minutes_before + (time.monotonic() - start) / 60, 2), "output": log.read_text()}
    assert run.wait() == 0, record["output"][-6000:]
    record |= {"as_of": read_json(home / "reports" / "evaluation.json")["as_of"], "is_done": True}
    write_json(record_file, record)
    return record
