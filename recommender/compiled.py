"""Compilation of functions over arrays to machine code, by Numba.

For loops that NumPy cannot express in a few calls. A function is compiled at its first call for the types of its arguments;
the result is kept on the disk, beside the module or in NUMBA_CACHE_DIR, so that the next process only loads it. Compiled
functions release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A compiled function; rounding is as in Python, operation by operation."""
    return _compile(function)


def compiled_reordering(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A compiled function whose sums may be added in another order, which is faster and rounds differently."""
    return _compile(function, fastmath={"reassoc", "contract", "nsz", "arcp"})


def _compile(function: Callable[Arguments, Result], **options: Any) -> Callable[Arguments, Result]:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        machine_code: Any = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: every process compiles
        machine_code = njit(**options)(function)
    return cast(Callable[Arguments, Result], machine_code)
