"""`python -m research.serving.profile_requests [--requests N]`: where the processor time of concurrent requests goes.

Eight clients request daily lists of the real service over a synthetic release of 50,000 tracks, while py-spy samples its
threads. Writes to SEGUE_HOME/reports:

    profile.svg   flame graph of all running threads; opens in a browser
    profile.md    processor time per request, and shares of the samples by package and by function of Segue: of all running
                  threads, and of the thread that holds the interpreter lock

While the lock is held, no other thread runs Python code; the rest of the running threads' samples (matrix products, index
search) is parallel. Samples are taken by the clock, so other work on the machine distorts them. py-spy reads the memory of
another process: it needs root, or `sysctl kernel.yama.ptrace_scope=0`.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config import settings
from research.serving import recommend_endpoint

LOADS = 3
SAMPLES_PER_SECOND = "200"
STOP_TIMEOUT_S = 60.0
LISTED_FUNCTIONS = 40
OWN_PACKAGES = frozenset({"config", "serving", "sequences", "storage", "training"})

Stack = tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """Stack → number of samples; frames as py-spy names them, `function (path:line)`, outermost first."""

    count_by_stack: Counter[Stack]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Samples:
        """Read py-spy's format `raw`: frames separated by semicolons, a space, and the number of samples."""
        counts: Counter[Stack] = Counter()
        for line in lines:
            frames, _, count = line.strip().rpartition(" ")
            if frames:
                counts[tuple(frames.split(";"))] += int(count)
        return cls(counts)

    def share_by_package(self) -> list[tuple[str, float]]:
        """Share of the samples by the package of the innermost frame, the largest first."""
        return self._shares(lambda stack: _package(stack[-1]))

    def share_by_function(self) -> list[tuple[str, float]]:
        """Share of the samples by the innermost frame of Segue, the largest first."""
        return self._shares(_innermost_own_frame)

    def _shares(self, key: Callable[[Stack], str]) -> list[tuple[str, float]]:
        counts: Counter[str] = Counter()
        for stack, count in self.count_by_stack.items():
            counts[key(stack)] += count
        return [(name, count / counts.total()) for name, count in counts.most_common()]


def _package(frame: str) -> str:
    """The package of a frame; two levels of Segue's."""
    parts = frame.rpartition(" (")[2].partition(":")[0].split("/")
    return "/".join(parts[:2]) if parts[0] in OWN_PACKAGES else parts[0].removesuffix(".py")


def _innermost_own_frame(stack: Stack) -> str:
    return next((frame for frame in reversed(stack) if _package(frame).split("/")[0] in OWN_PACKAGES), "other")


def profile(requests: int) -> Path:
    """Write the flame graph and the tables; return the path of the tables.

    Raises:
        RuntimeError: py-spy failed; the message has its output.
    """
    reports = settings.load_settings().reports
    reports.mkdir(parents=True, exist_ok=True)
    raw = {name: reports / f"profile_{name}.raw" for name in ("running", "lock")}
    users = recommend_endpoint.WARM_UP_REQUESTS + LOADS * requests
    with recommend_endpoint.serve_release(recommend_endpoint.SMALL, "small", users, workers=1) as (service, _):
        loads = iter(range(recommend_endpoint.WARM_UP_REQUESTS, users, requests))
        recommend_endpoint.run_load(service, 0, recommend_endpoint.WARM_UP_REQUESTS)
        (worker,) = sorted(service.process.members(), key=lambda one: sum(one.cpu_times()[:2]))[-1:]
        processor_s = []
        for output, options in (
            (reports / "profile.svg", ["--format", "flamegraph"]),
            (raw["running"], ["--format", "raw"]),
            (raw["lock"], ["--format", "raw", "--gil"]),
        ):
            with _sampling(worker.pid, output, options):
                load = recommend_endpoint.run_load(service, next(loads), requests, "--clients", "8")
            processor_s.append(load["service_cpu_s"])
    samples = {name: Samples.parse(path.read_text().splitlines()) for name, path in raw.items()}
    for path in raw.values():
        path.unlink()
    report = reports / "profile.md"
    report.write_text(format_report(sum(processor_s) / LOADS / requests * 1000, samples))
    return report


@contextmanager
def _sampling(pid: int, output: Path, options: list[str]) -> Iterator[None]:
    program = Path(sysconfig.get_path("scripts")) / "py-spy"
    command = [str(program), "record", "--pid", str(pid), "--output", str(output)]
    # Pausing the process would make its waiting threads look busy.
    command += ["--nonblocking", "--function", "--rate", SAMPLES_PER_SECOND, *options]
    output.unlink(missing_ok=True)
    sampler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        printed, _ = sampler.communicate(timeout=STOP_TIMEOUT_S)
    if not output.exists():
        raise RuntimeError(f"py-spy wrote no samples of process {pid}; run as root or allow tracing: {printed}")


def format_report(processor_ms: float, samples: dict[str, Samples]) -> str:
    """Return the tables as Markdown.

    Args:
        processor_ms: Processor time of the service per request, ms.
        samples: `running`: of all running threads; `lock`: of the thread with the interpreter lock.
    """
    running, lock = samples["running"], samples["lock"]
    locked = lock.count_by_stack.total() / max(running.count_by_stack.total(), 1)
    lines = [
        "# Profile of `POST /recommend` with eight clients",
        "",
        f"{processor_ms:.1f} ms of processor time per request, sampling included. With the interpreter lock: {locked:.0%} of"
        " the samples of running threads.",
    ]
    for title, of in (("package", Samples.share_by_package), ("function", Samples.share_by_function)):
        shares_with_lock = dict(of(lock))
        lines += ["", f"| {title} | running | with the lock |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {share:.1%} | {shares_with_lock.get(name, 0.0):.1%} |"
            for name, share in of(running)[:LISTED_FUNCTIONS]
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Profile and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m research.serving.profile_requests", description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="requests of each of the three loads")
    report = profile(parser.parse_args().requests)
    print(report.read_text())
    print(f"written to {report}; flame graph: {report.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
