"""Recall latency of two checkouts, measured in turns: one process of each answers the same requests.

    git worktree add /tmp/before REVISION
    python -m research.serving.compare_checkouts /tmp/before [--tracks 50000] [--recipe small] [--rounds 8]

On a shared machine, results of separate runs are hardly comparable; two processes that take turns are disturbed alike.
Prints the processor time of a request's recall (p50, ms) in the other checkout and in this one, and of each channel.
Each process finds its code evicted from the CPU caches by the other, as in a service that does other work between
requests.
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
    """Parse the command line and print both medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve_timings(options.tracks, options.recipe)
        return
    checkouts = options.checkout.resolve(), REPOSITORY
    for checkout, times in zip(checkouts, _measure_alternating(checkouts, options), strict=True):
        channels = {name: round(statistics.median(row[name] for row in times) * 1000, 2) for name in times[0]}
        print(f"{checkout}: {statistics.median(sum(row.values()) for row in times) * 1000:.2f} ms {channels}")


def _measure_alternating(checkouts: tuple[Path, Path], options: argparse.Namespace) -> tuple[Times, Times]:
    processes = [_start_process(checkout, options) for checkout in checkouts]
    times: tuple[Times, Times] = [], []
    for turn in range(options.rounds + 1):
        for row in range(USERS):
            # The order alternates, because the first finds warmer caches.
            for which in (0, 1) if (turn + row) % 2 else (1, 0):
                elapsed = _request_timings(processes[which], row)
                if turn:
                    times[which].append(elapsed)
    for process in processes:
        process.communicate()
    return times


def _start_process(checkout: Path, options: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(checkout), "--serve"]
    command += ["--tracks", str(options.tracks), "--recipe", options.recipe]
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
    elapsed: dict[str, float] = json.loads(_read_line(process))
    return elapsed


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended before it responded; see its error output above")
    return line


def _serve_timings(tracks: int, recipe: str) -> None:
    """Read request numbers, one per line, and write the processor seconds of each channel."""
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    from research.serving.synthetic_channels import SyntheticWorld
    from training.slate.scene_settings import CANDIDATES_PER_CHANNEL

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        world = SyntheticWorld(tracks, recipe)
        channels = world.channels()
        users = world.requests(USERS, seed=2)
        print("ready", flush=True)
        for line in sys.stdin:
            request, elapsed = users.take([int(line)]), {}
            for name, channel in channels.items():
                began = time.thread_time()
                channel.recall(request, CANDIDATES_PER_CHANNEL)
                elapsed[name] = time.thread_time() - began
            print(json.dumps(elapsed), flush=True)


if __name__ == "__main__":
    main()
