"""What a benchmark is and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One figure beside our peer's, measured in the same run; `ratio` > 1 means that ours is better."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float


def rate(name: str, unit: str, peer: str, amount: int, ours: Callable[[], Any], peers: Callable[[], Any]) -> Result:
    """`amount` a second of both, the better of two tries each, taken in turns so that a busy moment hits both."""
    seconds = [(_seconds(ours), _seconds(peers)) for _ in range(2)]
    value = amount / min(own for own, _ in seconds)
    peer_value = amount / min(other for _, other in seconds)
    return Result(name, round(value, 1), unit, peer, round(peer_value, 1), round(value / peer_value, 3))


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
