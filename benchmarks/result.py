"""What a benchmark is and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One figure beside our peer's, measured in the same run; `ratio` > 1 means that ours is better.

    A figure without a peer has none of the three, or names the limit that it must keep as its peer.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None

    @classmethod
    def from_values(
        cls,
        name: str,
        unit: str,
        value: float,
        peer: str | None = None,
        peer_value: float | None = None,
        lower_is_better: bool = False,
    ) -> Result:
        """A figure with its ratio to the peer's, if it has one."""
        if peer_value is None:
            return cls(name, round(value, 3), unit)
        # What rounds to nothing would have no ratio to it.
        ratio = peer_value / max(value, 1e-9) if lower_is_better else value / peer_value
        return cls(name, round(value, 3), unit, peer, round(peer_value, 3), round(ratio, 3))


def result_with_limit(name: str, unit: str, value: float, limit: float) -> Result:
    """A figure that must stay under a limit: a ratio above 1 keeps it."""
    return Result.from_values(name, unit, value, "limit", limit, lower_is_better=True)


def compare_rates(
    name: str, unit: str, peer: str, amount: int, ours: Callable[[], Any], peers: Callable[[], Any]
) -> Result:
    """`amount` a second of both, the better of two tries each, taken in turns so that a busy moment hits both."""
    seconds = [(_time_call(ours), _time_call(peers)) for _ in range(2)]
    value = amount / min(own for own, _ in seconds)
    peer_value = amount / min(other for _, other in seconds)
    return Result.from_values(name, unit, value, peer, peer_value)


def _time_call(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
