"""Fields of nested configs can be changed by path."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from config.dataclass_io import Section, change_config


@dataclass(frozen=True)
class Inner(Section):
    """One section."""

    sizes: tuple[int, ...] = (8,)
    rate: float = 0.1


@dataclass(frozen=True)
class Outer(Section):
    """A config with a section."""

    inner: Inner = Inner()
    seed: int = 0


def test_changes_by_path_leave_the_original_alone() -> None:
    config = Outer()
    changed = change_config(config, {"seed": 1, "inner.rate": 0.2, "inner.sizes": (4,)})
    assert changed == Outer(Inner((4,), 0.2), 1) and config == Outer()
    assert change_config(config, {"inner": Inner((3,)), "inner.rate": 0.3}) == Outer(Inner((3,), 0.3))


def test_unknown_fields_raise() -> None:
    with pytest.raises(ValueError, match="Inner has no field 'width'"):
        change_config(Outer(), {"inner.width": 3})
