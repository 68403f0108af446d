"""The live workers of a recommender: each reports its state every second, and all switch to a new release together.

A worker loads new releases beside those in service and reports that it is prepared. When every live worker is, they agree on a
time, from which on each of them answers with the new ones: no user gets answers of two releases in turns. Independent of releases
and requests.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from event_store.store import ServingState, Worker

SWITCH_DELAY_US = 2_000_000
"""Time from the agreement to the switch, in which every worker reads it."""


class Workers:
    """This worker among the live ones.

    Args:
        state: What the workers share.
        describe: State of this worker, to report.
        now_us: Clock, µs UTC.
    """

    def __init__(
        self, state: ServingState, describe: Callable[[], Mapping[str, Any]], now_us: Callable[[], int]
    ) -> None:
        self._state, self._describe, self._now_us = state, describe, now_us
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._prepared: dict[str, Any] = {}

    def report(self) -> None:
        """Report that this worker is alive, and its state."""
        self._state.report_worker(self._name, {**self._describe(), "prepared": self._prepared})

    def live(self) -> list[Worker]:
        """The workers that were alive a moment ago."""
        return self._state.workers()

    def switch_time(self, version: str, rejected: list[str]) -> tuple[int, set[str]] | None:
        """When all workers switch to a version of the releases in service, which this one has prepared.

        Args:
            version: What the pointers say.
            rejected: Releases of it that this worker cannot serve.

        Returns:
            Time in µs UTC, and the releases that some worker cannot serve; None as long as not every live worker is prepared.
        """
        if self._prepared.get("version") != version:
            self._prepared = {"version": version, "rejected": rejected}
            self.report()
        prepared = [one.state.get("prepared") or {} for one in self.live()]
        if any(one.get("version") != version for one in prepared):
            return None
        delay_us = SWITCH_DELAY_US if len(prepared) > 1 else 0
        at_us = int(self._state.agree(version, str(self._now_us() + delay_us)))
        return at_us, {name for one in prepared for name in one["rejected"]}
