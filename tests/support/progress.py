"""Sizes of long tests, and their progress, which `make acceptance` keeps across interruptions."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.support import acceptance_plugin

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))


def sized(full: int, small: int) -> int:
    """`full` in `make acceptance`, else `small`."""
    return max(1, round(full * acceptance_plugin.SHARE)) if FULL else small


class Progress:
    """Counts of a test that runs in parts; with `make acceptance` a repeated run continues after the last part.

    Args:
        name: Name of the test.
        total: Number of units, for instance kills.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self._file = acceptance_plugin.HOME / "progress" / f"{name}.json"
        self._key = {**acceptance_plugin.key(), "total": str(total)} if FULL else {}
        stored = acceptance_plugin.read(self._file) if FULL else {}
        self.counts: dict[str, int] = stored["counts"] if stored.get("key") == self._key and stored else {"done": 0}

    def parts(self, size: int) -> Iterator[tuple[int, int]]:
        """(number of the part, number of its units) of the parts that are not done."""
        while (done := self.counts["done"]) < self.total:
            yield done, min(size, self.total - done)
            if self.counts["done"] == done:
                raise RuntimeError(f"part {done} of {self.name} did not report its units by `add`")

    def add(self, done: int, **counts: int) -> None:
        """Record a finished part."""
        for name, count in {"done": done, **counts}.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if FULL:
            acceptance_plugin.write(self._file, {"key": self._key, "counts": self.counts})
        print(f"{self.name}: {self.counts['done']} of {self.total}, {self.counts}", flush=True)

    def report(self, required: str) -> None:
        """Record the counts as a result of `make acceptance`."""
        if FULL and acceptance_plugin.SHARE == 1:
            acceptance_plugin.report(self.name, required, str(self.counts))
