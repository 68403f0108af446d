"""Errors of commands: the message and an exit code instead of a traceback."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

P = ParamSpec("P")


def report_errors(
    *errors: type[BaseException], code: int = 2, interrupted: str | None = None
) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Decorates the main function of a command: one of `errors` is printed to stderr and ends it with `code`.

    Args:
        errors: Errors whose messages name the value and the remedy.
        code: The exit code.
        interrupted: What is printed if the command is interrupted, which ends it with 130; None: the traceback.
    """

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def run(*args: P.args, **kwargs: P.kwargs) -> int:
            try:
                return main(*args, **kwargs)
            except errors as error:
                print(f"error: {error}", file=sys.stderr)
                return code
            except KeyboardInterrupt:
                if interrupted is None:
                    raise
                print(f"\n{interrupted}", file=sys.stderr)
                return 130

        return run

    return decorate


def end_process(code: int) -> NoReturn:
    """End the process with `code`, without the final collection of all imported objects, which takes seconds."""
    gc.freeze()
    sys.exit(code)
