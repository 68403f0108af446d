"""The recall of two checkouts in turns: a process of each answers the same requests, one after the other.

    git worktree add /tmp/before REVISION
    python -m benchmarks.serving.compare_checkouts /tmp/before [--tracks 50000] [--recipe small] [--rounds 8]

On a machine where others work, a figure of one run says little beside that of another; what disturbs two processes
that take turns disturbs both. Prints the processor time of a request's recall (p50, ms) in the other checkout and in
this one, and of each channel. Either finds the other's code in its caches gone, as a service does that has done
something else since.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = 20

Times = list[dict[str, float]]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        _serve_timings(given.tracks, given.recipe)
        return
    checkouts = given.checkout.resolve(), REPOSITORY
    for checkout, times in zip(checkouts, _measure_alternating(checkouts, given), strict=True):
        channels = {name: round(statistics.median(one[name] for one in times) * 1000, 2) for name in times[0]}
        print(f"{checkout}: {statistics.median(sum(one.values()) for one in times) * 1000:.2f} ms {channels}")


def _measure_alternating(checkouts: tuple[Path, Path], given: argparse.Namespace) -> tuple[Times, Times]:
    processes = [_start_process(checkout, given) for checkout in checkouts]
    times: tuple[Times, Times] = [], []
    for turn in range(given.rounds + 1):
        for row in range(USERS):
            # Who goes first changes, as the first finds the caches fuller.
            for which in (0, 1) if (turn + row) % 2 else (1, 0):
                took = _request_timings(processes[which], row)
                if turn:
                    times[which].append(took)
    for process in processes:
        process.communicate()
    return times


def _start_process(checkout: Path, given: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(checkout), "--answer"]
    command += ["--tracks", str(given.tracks), "--recipe", given.recipe]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _read_line(process)
    return process


def _request_timings(process: subprocess.Popen[str], row: int) -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write(f"{row}\n")
    process.stdin.flush()
    took: dict[str, float] = json.loads(_read_line(process))
    return took


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended before it answered; its reason is above")
    return line


def _serve_timings(tracks: int, recipe: str) -> None:
    """Reads numbers of requests, one a line, and writes what each channel took, in seconds of processor time."""
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    from benchmarks.serving.synthetic_channels import SyntheticWorld
    from training.slate.fusion import CANDIDATES_PER_CHANNEL

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        world = SyntheticWorld(tracks, recipe)
        channels = world.channels()
        users = world.requests(USERS, seed=2)
        print("ready", flush=True)
        for line in sys.stdin:
            request, took = users.take([int(line)]), {}
            for name, channel in channels.items():
                began = time.thread_time()
                channel.recall(request, CANDIDATES_PER_CHANNEL)
                took[name] = time.thread_time() - began
            print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
