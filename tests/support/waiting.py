"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until `condition()` is true.

    Raises:
        TimeoutError: It was not within `seconds`; `what` says for what the test waited.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what} for {seconds:g} s")
        time.sleep(0.01)
