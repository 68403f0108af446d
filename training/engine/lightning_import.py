"""Lightning, imported without matplotlib and `scipy.signal`, which take longer than the rest of its import.

Lightning imports torchmetrics, which imports them for plots of metrics and for metrics of audio; Segue has neither. They can
be imported later as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_utilities.core import imports

HIDDEN = ("matplotlib", "scipy")


@contextmanager
def _without_plots_and_audio() -> Iterator[None]:
    """Hide matplotlib and SciPy from torchmetrics while it is imported."""
    checks: Any = imports
    requirement = checks.RequirementCache
    is_available, is_installed = checks.package_available, requirement.__bool__
    checks.package_available = lambda name: name not in HIDDEN and is_available(name)
    requirement.__bool__ = lambda found: found.requirement not in HIDDEN and is_installed(found)
    try:
        yield
    finally:
        checks.package_available, requirement.__bool__ = is_available, is_installed


with _without_plots_and_audio():
    import lightning.pytorch as lightning

__all__ = ["lightning"]
