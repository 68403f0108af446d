"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait until `condition()` is true and return its value.

    Raises:
        TimeoutError: It was not within `seconds`; `what` says for what the test waited.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what} for {seconds:g} s")
        time.sleep(0.01)
    return value
