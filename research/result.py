"""Results of benchmarks, and measuring two alternatives in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One measurement beside a peer's from the same run; `ratio` > 1 means that Segue is better.

    Without a peer the last three fields are None; a limit to keep is stored as a peer named "limit".
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
        """Return a result with its ratio to the peer's value, if there is one."""
        if peer_value is None:
            return cls(name, round(value, 3), unit)
        # Avoids division by 0 of values that round to 0.
        ratio = peer_value / max(value, 1e-9) if lower_is_better else value / peer_value
        return cls(name, round(value, 3), unit, peer, round(peer_value, 3), round(ratio, 3))


def result_with_limit(name: str, unit: str, value: float, limit: float) -> Result:
    """Return a result that must stay under a limit: the ratio is above 1 if it does."""
    return Result.from_values(name, unit, value, "limit", limit, lower_is_better=True)


def compare_rates(
    name: str, unit: str, peer: str, amount: int, ours: Callable[[], Any], peers: Callable[[], Any]
) -> Result:
    """Return `amount` per second of both, the better of two tries each, in turns so that other load affects both."""
    seconds = [(_time_call(ours), _time_call(peers)) for _ in range(2)]
    value = amount / min(own_seconds for own_seconds, _ in seconds)
    peer_value = amount / min(peer_seconds for _, peer_seconds in seconds)
    return Result.from_values(name, unit, value, peer, peer_value)


def _time_call(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
