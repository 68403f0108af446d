"""A whole run of the line in a home of its own: how long it took and how much memory it had at most."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support import acceptance_plugin

LOOKS_EVERY_S = 3


def environment(home: Path, ports: dict[str, str]) -> dict[str, str]:
    """Environment of a command that works in `home`."""
    return {**os.environ, **ports, "SEGUE_HOME": str(home)}


def of_home(home: Path) -> list[psutil.Process]:
    """Every process that works in `home`: the services and all that they started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SEGUE_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gigabytes(processes: list[psutil.Process]) -> float:
    """Memory of all of them together; what several share counts once."""
    total = 0
    for process in processes:
        try:
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
        except psutil.Error:
            continue
    return total / 2**30


def end_what_is_left(home: Path, variables: dict[str, str]) -> None:
    """Ends what a killed acceptance left at work in `home`: its services, and the run that it watched."""
    subprocess.run(
        [sys.executable, "-m", "local.services", "stop"], cwd=acceptance_plugin.ROOT, env=variables, check=True
    )
    for process in of_home(home):
        with suppress(psutil.Error):
            process.kill()


def run_once(home: Path, arguments: list[str], variables: dict[str, str]) -> dict[str, object]:
    """Runs `local.run` in a fresh home unless a run with this code and these inputs has ended well there.

    What it says: `minutes`, `peak_gb`, `attempts`, `output`, `as_of`. A run that was killed goes on in its home, and its minutes
    count. Fails with the output's end when the run does.
    """
    end_what_is_left(home, variables)
    notes = home.with_name(f"{home.name}.json")
    noted = acceptance_plugin.read(notes)
    if noted.get("key") != acceptance_plugin.key():
        shutil.rmtree(home, ignore_errors=True)
        noted = {"key": acceptance_plugin.key(), "minutes": 0.0, "peak_gb": 0.0, "attempts": 0, "is_done": False}
    if noted["is_done"]:
        return noted
    noted["attempts"] += 1
    before, began = noted["minutes"], time.monotonic()
    home.mkdir(parents=True, exist_ok=True)
    log = home / f"run_{noted['attempts']}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "local.run", *arguments]
        run = subprocess.Popen(command, cwd=acceptance_plugin.ROOT, env=variables, stdout=output, stderr=output)
    try:
        while run.poll() is None:
            noted["peak_gb"] = max(noted["peak_gb"], round(gigabytes(of_home(home)), 2))
            noted["minutes"] = round(before + (time.monotonic() - began) / 60, 2)
            acceptance_plugin.write(notes, noted)
            time.sleep(LOOKS_EVERY_S)
    finally:
        run.terminate()
    noted |= {"minutes": round(before + (time.monotonic() - began) / 60, 2), "output": log.read_text()}
    assert run.wait() == 0, noted["output"][-6000:]
    noted |= {"as_of": acceptance_plugin.read(home / "reports" / "evaluation.json")["as_of"], "is_done": True}
    acceptance_plugin.write(notes, noted)
    return noted
